"""The product of int8 matrices with int32 sums: exact where the processor's instructions do not saturate."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

BOUND = 127
"""Largest magnitude of the factors."""

_int_mm: Any = getattr(torch, "_int_mm", None)


def product(s: Tensor, q: Tensor) -> Tensor:
    """int8 `[rows, in]` x int8 `[in, out]` -> int32 `[rows, out]`, where `is_exact`."""
    return _int_mm(s, q)


@cache
def is_exact() -> bool:
    """Whether `torch._int_mm` is there and does not saturate on this processor.

    Some processors add pairs of int8 products in 16 bits with saturation. Pairs of extreme factors give the largest
    such sums of either sign, so a product that is right for these is right for all.
    """
    if _int_mm is None:
        return False
    extremes = torch.tensor([[1, 127, -127, -1]] * 4, dtype=torch.int8).repeat(16, 64).T.contiguous()
    for weight in (-128, 127):
        q = torch.full((extremes.shape[1], 64), weight, dtype=torch.int8)
        try:
            got = product(extremes, q)
        except RuntimeError:
            return False
        if not torch.equal(got, (extremes.to(torch.float64) @ q.to(torch.float64)).to(torch.int32)):
            return False
    return True


@cache
def is_faster() -> bool:
    """Whether it beats float32 here: it does where the processor multiplies int8 natively."""
    s, q = torch.ones(256, 512, dtype=torch.int8), torch.ones(512, 256, dtype=torch.int8)
    return _fastest(lambda: product(s, q)) < _fastest(lambda: s.float() @ q.float())


def _fastest(run: Callable[[], Tensor]) -> float:
    times = []
    for _ in range(4):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
