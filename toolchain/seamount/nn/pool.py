"""Sums over windows, whose way back needs nothing but the windows' places."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from seamount.nn.loops import kernel
from seamount.nn.memory import apply, empty
from seamount.nn.threads import in_parts


def window_sums(x: Tensor, size: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """`[R, C, H, W]` -> `[R, C, H', W']`, channels first or last as they come.

    Args:
        x: float.
        size, stride: of the windows, (height, width).
    """
    return apply(_WindowSums, x, size, stride)


class _WindowSums(torch.autograd.Function):
    """`(x, size, stride) -> sums`; torch's own keeps x, and fills a sequence with zeros before it adds to it."""

    @staticmethod
    def forward(ctx, x: Tensor, size: tuple[int, int], stride: tuple[int, int]) -> Tensor:  # type: ignore[override]
        ctx.shape, ctx.windows = x.shape, (*size, *stride)
        ctx.last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        if not _compiles(x):
            return functional.avg_pool2d(x, size, stride, divisor_override=1)
        images = _images(x.detach(), ctx.last)
        height, width = ((n - k) // s + 1 for n, k, s in zip(x.shape[2:], size, stride, strict=True))
        out = empty(images.shape[0], height, width, images.shape[3], like=x)
        arrays = images.numpy(), out.numpy(), *ctx.windows
        in_parts(lambda first, last: _sums(first, last, *arrays), len(images))
        return _back(out, x.shape[1], ctx.last)

    @staticmethod
    def backward(ctx, *gradients: Tensor):
        g = gradients[0]
        kh, kw, sh, sw = ctx.windows
        if not _compiles(g):
            x = g.new_empty(()).expand(ctx.shape)
            g_x = torch.ops.aten.avg_pool2d_backward(g.contiguous(), x, (kh, kw), (sh, sw), (0, 0), False, True, 1)
            return g_x, None, None
        images = _images(g.detach(), ctx.last)
        _, channels, height, width = ctx.shape
        out = empty(images.shape[0], height, width, images.shape[3], like=g)
        arrays = images.numpy(), out.numpy(), *ctx.windows
        in_parts(lambda first, last: _spread(first, last, *arrays), len(images))
        return _back(out, channels, ctx.last), None, None


def _compiles(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


def _images(x: Tensor, last: bool) -> Tensor:
    """`[R, C, H, W]` as contiguous images whose last dimension lies innermost: `[R, H, W, C]`, or `[R C, H, W, 1]`."""
    return x.permute(0, 2, 3, 1).contiguous() if last else x.contiguous().view(-1, *x.shape[2:], 1)


def _back(images: Tensor, channels: int, last: bool) -> Tensor:
    return images.permute(0, 3, 1, 2) if last else images.view(-1, channels, *images.shape[1:3])


@kernel
def _sums(first, last, x, out, kh, kw, sh, sw):
    """Images first..last of `out [R, H', W', C]`."""
    channels = x.shape[3]
    for r in range(first, last):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                if channels == 1:
                    total = x.dtype.type(0)
                    for y in range(i * sh, i * sh + kh):
                        for z in range(j * sw, j * sw + kw):
                            total += x[r, y, z, 0]
                    out[r, i, j, 0] = total
                    continue
                o = out[r, i, j]
                o[:] = 0
                for y in range(i * sh, i * sh + kh):
                    for z in range(j * sw, j * sw + kw):
                        row = x[r, y, z]
                        for c in range(channels):
                            o[c] += row[c]


@kernel
def _spread(first, last, g, out, kh, kw, sh, sw):
    """Images first..last of `out [R, H, W, C]`: to each place the gradients of all windows that it is in."""
    channels = g.shape[3]
    for r in range(first, last):
        out[r] = 0
        for i in range(g.shape[1]):
            for j in range(g.shape[2]):
                for y in range(i * sh, i * sh + kh):
                    for z in range(j * sw, j * sw + kw):
                        if channels == 1:
                            out[r, y, z, 0] += g[r, i, j, 0]
                            continue
                        o, row = out[r, y, z], g[r, i, j]
                        for c in range(channels):
                            o[c] += row[c]
