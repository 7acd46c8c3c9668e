r"""A convolution of spikes: where few inputs are active, the sum and the weight's gradient skip the others.

    out[r, :, i - ky + P, j - kx + P] += x[r, c, i, j] W[:, c, ky, kx]      for each x[r, c, i, j] != 0, each ky, kx
    g_W[:, c, ky, kx] += x[r, c, i, j] g[r, :, i - ky + P, j - kx + P]      g_x as torch has it, dense

Channels lie last in `out`, so that what an event adds to a line of it is one run of kx and channels. Both equal torch's
up to the order of summation, which does not depend on the number of threads, and exactly where all partial sums are
whole numbers below 2^24.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_input

from seamount.nn.events import Events, find
from seamount.nn.linear import LEAST_WORK, NARROWEST, few, plain
from seamount.nn.loops import kernel
from seamount.nn.memory import apply, empty
from seamount.nn.threads import in_parts

CHUNKS = 16
"""Parts of the batch whose gradients of the weight are summed alone, then added: the same for any number of threads."""


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: str | int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """`torch.nn.functional.conv2d`, by events where that is faster.

    Args:
        x: spikes, `[R, C, H, W]`.
        weight: `[O, C, kh, kw]`.
        bias: `[O]`.
        stride, padding, dilation, groups: as torch's; events serve steps of 1, one group and padding in numbers.
    """
    steps = {*np.ravel(stride), *np.ravel(dilation), groups}
    if steps == {1} and not isinstance(padding, str) and plain(x, weight, bias):
        p = tuple(int(n) for n in np.broadcast_to(padding, 2))
        wide = len(weight) * weight.shape[3] >= NARROWEST
        if wide and x.numel() * weight[:, 0].numel() >= LEAST_WORK and few(x.detach().flatten(1)):
            return apply(_EventConv, x, weight, bias, p)
    return functional.conv2d(x, weight, bias, stride, padding, dilation, groups)


class _EventConv(torch.autograd.Function):
    """`(x, weight, bias, padding) -> out`; see the equations above."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]):  # type: ignore[override]
        rows = x.detach().flatten(1).contiguous()
        events = find(rows)
        (_, _, h, w), (outputs, _, kh, kw) = x.shape, weight.shape
        height, width = h + 2 * padding[0] - kh + 1, w + 2 * padding[1] - kw + 1
        out = empty(len(x), height, width * outputs, like=x)
        mirrored = weight.detach().permute(1, 2, 3, 0).flip(2).flatten(2).contiguous()
        offset = np.zeros(outputs, np.float32) if bias is None else bias.detach().numpy()
        ctx.events, ctx.shape, ctx.padding = events, x.shape, padding
        arrays = (*_of(events), mirrored.numpy(), np.tile(offset, width), out.numpy(), h, w, *padding, kw)
        in_parts(lambda first, last: _sums(first, last, *arrays), len(x))
        ctx.save_for_backward(weight)
        return out.view(len(x), height, width, outputs).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx, *gradients: Tensor):
        (weight,), (_, _, h, w) = ctx.saved_tensors, ctx.shape
        g, kw = gradients[0], weight.shape[3]
        g_x = g_weight = g_bias = None
        if ctx.needs_input_grad[0]:
            g_x = conv2d_input(ctx.shape, weight, g, padding=ctx.padding)
        if ctx.needs_input_grad[1]:
            lines = g.permute(0, 2, 3, 1).flatten(2).contiguous()
            parts = torch.zeros(CHUNKS, *weight.shape[1:3], kw * len(weight))
            arrays = (*_of(ctx.events), lines.numpy(), parts.numpy(), h, w, *ctx.padding, kw)
            in_parts(lambda first, last: _weight_gradient(first, last, *arrays), CHUNKS)
            g_weight = parts.sum(0).unflatten(2, (kw, -1)).flip(2).permute(3, 0, 1, 2)
        if ctx.needs_input_grad[2]:
            g_bias = g.sum((0, 2, 3))
        return g_x, g_weight, g_bias, None


def _of(events: Events) -> tuple[np.ndarray, ...]:
    return events.index, events.value, events.start, events.count


@kernel
def _sums(first, last, index, value, start, count, weight, bias, out, h, w, ph, pw, kw):
    """Images first..last of `out [R, H', W' O]`, from `weight [C, kh, kw O]`, mirrored in kw."""
    height, run = out.shape[1], weight.shape[2]
    channels = run // kw
    for r in range(first, last):
        for y in range(height):
            out[r, y] = bias
        for k in range(start[r], start[r] + count[r]):
            x, c = value[k], index[k] // (h * w)
            i, j = index[k] // w % h, index[k] % w
            begin = (j + pw - kw + 1) * channels
            low, high = max(0, -begin), min(run, out.shape[2] - begin)
            for ky in range(weight.shape[1]):
                y = i + ph - ky
                if 0 <= y < height:
                    line, by = out[r, y, begin + low : begin + high], weight[c, ky, low:high]
                    for m in range(high - low):
                        line[m] += x * by[m]


@kernel
def _weight_gradient(first, last, index, value, start, count, g, out, h, w, ph, pw, kw):
    """Chunks first..last of `out [chunks, C, kh, kw O]`, zero before and mirrored in kw, from `g [R, H', W' O]`."""
    images, height, run = len(g), g.shape[1], out.shape[3]
    channels = run // kw
    for chunk in range(first, last):
        for r in range(images * chunk // len(out), images * (chunk + 1) // len(out)):
            for k in range(start[r], start[r] + count[r]):
                x, c = value[k], index[k] // (h * w)
                i, j = index[k] // w % h, index[k] % w
                begin = (j + pw - kw + 1) * channels
                low, high = max(0, -begin), min(run, g.shape[2] - begin)
                for ky in range(out.shape[2]):
                    y = i + ph - ky
                    if 0 <= y < height:
                        line, to = g[r, y, begin + low : begin + high], out[chunk, c, ky, low:high]
                        for m in range(high - low):
                            to[m] += x * line[m]
