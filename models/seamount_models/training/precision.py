"""Connections in half the precision, populations in full; numbers too small for full precision as 0."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from seamount.errors import DataError
from seamount.nn import populations

DTYPES = ("float32", "bfloat16")


@contextmanager
def connections_in(dtype: str, net: nn.Module) -> Iterator[None]:
    """Let connections multiply in `dtype` inside the block.

    `"bfloat16"` is torch's autocast; weights stay in float32, and so do all states: a membrane that sums small inputs
    over many steps would lose them in 8 bits of mantissa. A quantized network is refused: its sums are whole numbers
    that must be exact.

    Raises:
        DataError: an unknown dtype, or a quantized network.
    """
    if dtype not in DTYPES:
        raise DataError(f"dtype {dtype!r} is unknown. Allowed: {', '.join(DTYPES)}.")
    if dtype == "float32":
        yield
        return
    if any(hasattr(module, "hold") for module in net.modules()):
        raise DataError("dtype = bfloat16: the network is quantized, and its sums must be exact. Hint: float32.")

    def widen(module: nn.Module, inputs: tuple) -> tuple:
        return tuple(x.float() for x in inputs)

    handles = [net.get_submodule(name).register_forward_pre_hook(widen) for name in populations(net)]
    device = next(net.parameters()).device.type
    try:
        with torch.autocast(device, torch.bfloat16):
            yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def flushing(wanted: bool) -> Iterator[None]:
    """Let this thread take subnormal numbers for 0 inside the block, where that is wanted.

    The traces of a rule fade out through them, and a processor takes up to 60 times as long for each.
    """
    for dtype in ("float32", "float64"):
        np.finfo(dtype)  # numpy measures the smallest number when it is first asked, and for good
    flushed = bool(torch.full((1,), 2.0**-140) * 1.0 == 0)
    torch.set_flush_denormal(flushed or wanted)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
