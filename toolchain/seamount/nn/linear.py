r"""`x W^T + b` for spikes: where few inputs are active, the sum and the weight's gradient skip the others.

    out[r] = b + sum_{i: x[r, i] != 0} x[r, i] W[:, i]
    g_W[:, i] = sum_{r: x[r, i] != 0} x[r, i] g[r]          g_x = g W, a dense product

with rows r = (t, b). Both equal the dense products up to the order of summation, and exactly where all partial sums are
whole numbers below 2^24. The order does not depend on the number of threads: each has rows of its own forward and
inputs of its own backward.

Where more are active and the numbers are a chip's, the sum is a product of int8 matrices: 4 times faster than float32
where the processor has one (6400 x 700 x 512, one core of a Xeon with AMX, conversions included: 7.5 ms and 29.5).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seamount.nn import int8_product
from seamount.nn.events import Events, find
from seamount.nn.loops import kernel
from seamount.nn.memory import apply, empty
from seamount.nn.threads import in_parts

EVENT_ACTIVITY = 0.15
"""Share of active inputs up to which events are faster.

Measured in ms of one core for 6400 rows, the best of 7, on a Xeon with AVX-512, forward / gradient of the weight:

    layer      events at 2 %    5 %       10 %      15 %      20 %      |  dense
    700x512    7 / 6          10 / 9    16 / 17   23 / 25   37 / 51     |  36 / 37
    512x512    6 / 5          10 / 8    16 / 16   22 / 23   28 / 30     |  26 / 26
"""
NARROWEST = 64
"""Outputs below which finding the events costs more than the dense product."""
LEAST_WORK = 1 << 22
"""Multiplications of a dense product from which threads are worth starting."""
SAMPLED = 16
"""One row in this many is looked at to estimate the activity."""
CHUNK = 512
"""Rows whose gradients stay in a core's cache while they are added to all weights."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x W^T + b` by events where that is faster, else as a dense product.

    Args:
        x: spikes, float `[.., in]`.
        weight: float `[out, in]`.
        bias: float `[out]`.
    """
    if _wide(x, weight, bias) and few(x.detach().reshape(-1, x.shape[-1])):
        return apply(_EventLinear, x, weight, bias)
    return functional.linear(x, weight, bias)


def linear_of_codes(x: Tensor, weight: Tensor, unit: float) -> Tensor:
    """`x W^T` by events or as a product of int8 matrices where that is faster; the same numbers.

    Args:
        x: whole numbers, float `[.., in]`.
        weight: whole multiples of `unit` of magnitude at most 127, float `[out, in]`. All partial sums are whole
            multiples of it that x's dtype has.
        unit: a power of two.
    """
    if _wide(x, weight) and int8_product.is_exact() and int8_product.is_faster():
        rows = x.detach().reshape(-1, x.shape[-1])
        if not few(rows) and bool(((codes := rows.to(torch.int8)) == rows).all()):
            return apply(_CodeLinear, x, weight, codes, unit)
    return linear(x, weight)


def _wide(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    """Whether the product is large enough for anything but torch's own, and may be another."""
    large = x.ndim > 1 and len(weight) >= NARROWEST and x.numel() * len(weight) >= LEAST_WORK
    return large and plain(x, weight, bias)


def plain(*tensors: Tensor | None) -> bool:
    """Whether kernels of float32 on the CPU may take the place of torch's, on these and under its settings."""
    return not torch.is_autocast_enabled("cpu") and all(
        t is None or (t.device.type == "cpu" and t.dtype == torch.float32 and type(t) in (Tensor, nn.Parameter))
        for t in tensors
    )


def few(rows: Tensor) -> bool:
    """Whether so few of the values of rows `[R, in]` are active that events are faster; looks at some rows."""
    some = rows[::SAMPLED]
    return float(torch.count_nonzero(some)) <= EVENT_ACTIVITY * some.numel()


class Linear(nn.Linear):
    """`nn.Linear` for spikes: the same, and several times faster on a CPU where few of its inputs are active.

    Example:
        >>> import torch, seamount as sm
        >>> sm.nn.Linear(700, 512, bias=False)(torch.zeros(100, 8, 700)).shape
        torch.Size([100, 8, 512])
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return linear(input, self.weight, self.bias)


class _EventLinear(torch.autograd.Function):
    """`(x, weight, bias) -> x W^T + b`; see the equations above."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # type: ignore[override]
        rows = x.detach().reshape(-1, x.shape[-1]).contiguous()
        events = find(rows)
        out = empty(len(rows), len(weight), like=rows)
        by_input = weight.detach().t().contiguous().numpy()
        offset = np.empty(0, np.float32) if bias is None else bias.detach().numpy()
        arrays = (events.index, events.value, events.start, events.count, by_input, offset, out.numpy())
        in_parts(lambda first, last: _sums(first, last, *arrays), len(rows))
        ctx.events, ctx.shape = events, x.shape
        ctx.save_for_backward(weight)
        return out.reshape(*x.shape[:-1], len(weight))

    @staticmethod
    def backward(ctx, *gradients: Tensor):
        (weight,) = ctx.saved_tensors
        g = gradients[0].reshape(-1, len(weight)).contiguous()
        g_x = g_weight = g_bias = None
        if ctx.needs_input_grad[0]:
            g_x = torch.mm(g, weight, out=empty(len(g), weight.shape[1], like=g)).reshape(ctx.shape)
        if ctx.needs_input_grad[1]:
            e: Events = ctx.events
            by_input = torch.zeros(weight.shape[1], weight.shape[0])
            arrays = (e.index, e.value, e.start, e.count, g.numpy(), by_input.numpy())
            in_parts(lambda first, last: _weight_gradient(first, last, CHUNK, *arrays), weight.shape[1])
            g_weight = by_input.t()
        if ctx.needs_input_grad[2]:
            g_bias = g.sum(0)
        return g_x, g_weight, g_bias


class _CodeLinear(torch.autograd.Function):
    """`(x, weight, x as int8 [R, in], unit) -> x W^T`; the way back is a dense product of floats."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, codes: Tensor, unit: float) -> Tensor:  # type: ignore[override]
        sums = int8_product.product(codes, (weight.detach() / unit).to(torch.int8).t())
        ctx.save_for_backward(weight, codes)
        ctx.shape = x.shape
        out = empty(*sums.shape, like=x)
        torch.mul(sums, unit, out=out)
        return out.reshape(*x.shape[:-1], len(weight))

    @staticmethod
    def backward(ctx, *gradients: Tensor):
        weight, codes = ctx.saved_tensors
        g = gradients[0].reshape(-1, len(weight))
        g_x = (g @ weight).reshape(ctx.shape) if ctx.needs_input_grad[0] else None
        g_weight = g.t() @ codes.to(g.dtype) if ctx.needs_input_grad[1] else None
        return g_x, g_weight, None, None


@kernel
def _sums(first, last, index, value, start, count, weight, bias, out):
    """Rows first..last of `out [R, out]`, from `weight [in, out]`; four inputs at a time, so that `out` waits less."""
    n = out.shape[1]
    for r in range(first, last):
        o, k, end = out[r], start[r], start[r] + count[r]
        for j in range(n):
            o[j] = bias[j] if bias.size else 0
        while k + 4 <= end:
            x0, x1, x2, x3 = value[k], value[k + 1], value[k + 2], value[k + 3]
            w0, w1, w2, w3 = weight[index[k]], weight[index[k + 1]], weight[index[k + 2]], weight[index[k + 3]]
            for j in range(n):
                o[j] += (x0 * w0[j] + x1 * w1[j]) + (x2 * w2[j] + x3 * w3[j])
            k += 4
        while k < end:
            x0, w0 = value[k], weight[index[k]]
            for j in range(n):
                o[j] += x0 * w0[j]
            k += 1


@kernel
def _weight_gradient(first, last, chunk, index, value, start, count, g, out):
    """Inputs first..last of `out [in, out]`, zero before. In a chunk of rows, events are first sorted by input."""
    n, height = g.shape[1], len(g)
    begin = np.empty(last - first + 1, np.int64)
    rows, values = np.empty(0, np.int32), np.empty(0, np.float32)
    for r0 in range(0, height, chunk):
        r1 = min(r0 + chunk, height)
        begin[:] = 0
        for k in range(start[r0], start[r1 - 1] + count[r1 - 1]):
            i = index[k]
            if first <= i < last:
                begin[i - first + 1] += 1
        for i in range(last - first):
            begin[i + 1] += begin[i]
        if rows.size < begin[-1]:
            rows, values = np.empty(begin[-1], np.int32), np.empty(begin[-1], np.float32)
        for r in range(r0, r1):
            for k in range(start[r], start[r] + count[r]):
                i = index[k]
                if first <= i < last:
                    at = begin[i - first]
                    rows[at], values[at] = r, value[k]
                    begin[i - first] = at + 1
        k = 0
        for i in range(last - first):
            o, end = out[first + i], begin[i]
            while k + 4 <= end:
                x0, x1, x2, x3 = values[k], values[k + 1], values[k + 2], values[k + 3]
                g0, g1, g2, g3 = g[rows[k]], g[rows[k + 1]], g[rows[k + 2]], g[rows[k + 3]]
                for j in range(n):
                    o[j] += (x0 * g0[j] + x1 * g1[j]) + (x2 * g2[j] + x3 * g3[j])
                k += 4
            while k < end:
                x0, g0 = values[k], g[rows[k]]
                for j in range(n):
                    o[j] += x0 * g0[j]
                k += 1
