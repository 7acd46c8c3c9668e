"""Images whose channels lie innermost, as event convolutions and pools leave them, put in C order."""

from __future__ import annotations

import torch
from torch import Tensor

from seamount.nn.loops import kernel
from seamount.nn.memory import apply, empty
from seamount.nn.threads import in_parts


def in_order(x: Tensor) -> Tensor:
    """`[R, C, H, W]` -> `[R, C H W]`: `x.flatten(1)`, in a fifth of its time where channels lie innermost."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    if not last or x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        return x.flatten(1)
    return apply(_Turned, x.permute(0, 2, 3, 1).flatten(1, 2)).flatten(1)


class _Turned(torch.autograd.Function):
    """`[R, P, C]` -> `[R, C, P]`."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[override]
        return _turned(x.detach())

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> Tensor:
        return _turned(gradients[0])


def _turned(x: Tensor) -> Tensor:
    x = x.contiguous()
    out = empty(len(x), x.shape[2], x.shape[1], like=x)
    arrays = x.numpy(), out.numpy()
    in_parts(lambda first, last: _turn(first, last, *arrays), len(x))
    return out


@kernel
def _turn(first, last, x, out):
    for r in range(first, last):
        for c in range(x.shape[2]):
            for p in range(x.shape[1]):
                out[r, c, p] = x[r, p, c]
