"""Populations through time on the CPU: one pass over memory forward, one backward.

The forward kernels are compiled from the neuron's own functions (`seamount.neurons`), the backward kernel is the
recursion of `seamount.nn.sequence`; both give what the loops there give, bit for bit. A batch is shared out to threads
in parts, which end with the call.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from seamount.neurons.cuba_lif import fire, float_integrate, int_integrate

SHARE = 1 << 17
"""Values of `[T, B, N]` that are worth a thread of their own."""


def forward(a: Tensor, u: Tensor, v: Tensor, constants: list[Tensor], chip: bool, keep_v: bool, keep_u: bool):
    """Run a population; what `sequence.loop_forward` does.

    Args:
        a: float `[T, B, N]`.
        u, v: state, `[B, N]` in the dtype of a.
        constants: of the step, each `[N]`: of a's dtype, or int64 for `chip`.
        chip: the chip's integers.
        keep_v, keep_u: return v after the reset and u before each step, `[T, B, N]`; else empty.

    Returns:
        `(spikes, v before the reset, v after it, u before each step, u, v)`.
    """
    u, v = u.clone(), v.clone()
    out, before = torch.empty_like(a), torch.empty_like(a)
    after, currents = (torch.empty_like(a) if keep else a.new_empty(0, 0, 0) for keep in (keep_v, keep_u))
    tensors = [a, u, v, *constants, out, before, after, currents]
    _share(_forward(chip), a.shape, [_numpy(t) for t in tensors], batched=(0, 1, 2, -4, -3, -2, -1))
    return out, before, after, currents, u, v


def backward(
    g_out: Tensor, g_u: Tensor, g_v: Tensor, out: Tensor, before: Tensor, slope: Tensor, alpha: Tensor, beta: Tensor,
    removed: Tensor, zero: bool, attached: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients through time; the symbols are those of `sequence`.

    Args:
        g_out, out, before, slope: `[T, B, N]`; slope is `f(x) unit`.
        g_u, g_v: gradients of the last state, `[B, N]`.
        alpha, beta, removed: `[N]`.
        zero, attached: reset to zero; gradient through the reset.

    Returns:
        `(gu, gv~, gv, gradient of u0, gradient of v0)`; the first three `[T, B, N]`.
    """
    g_u, g_v = g_u.clone(), g_v.clone()
    g_a, g_before, kept = (torch.empty_like(before) for _ in range(3))
    flags = torch.tensor([float(zero), float(attached)], dtype=before.dtype)
    tensors = [g_out.contiguous(), g_u, g_v, out, before, slope, alpha, beta, removed, flags, g_a, g_before, kept]
    _share(_backward, before.shape, [_numpy(t) for t in tensors], batched=(0, 1, 2, 3, 4, 5, -3, -2, -1))
    return g_a, g_before, kept, g_u, g_v


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def _share(kernel: Any, shape: torch.Size, arrays: list[np.ndarray], batched: tuple[int, ...]) -> None:
    """Call a kernel on parts of the batch, which is the second to last axis of the arrays at those positions."""
    parts = min(torch.get_num_threads(), shape[1], max(1, shape.numel() // SHARE))
    if parts == 1:
        kernel(*arrays)
        return
    edges = np.linspace(0, shape[1], parts + 1).astype(int)
    positions = {i % len(arrays) for i in batched}

    def run(part: int) -> None:
        piece = slice(edges[part], edges[part + 1])
        kernel(*(x[..., piece, :] if i in positions else x for i, x in enumerate(arrays)))

    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(run, range(parts)))


@cache
def _forward(chip: bool) -> Any:
    integrate, number = (int_integrate, np.int64) if chip else (float_integrate, None)

    def kernel(a, u, v, ru, rv, bias, vth, reset_by, zero, out, before, after, currents):
        steps, batch, size = a.shape
        keep_v, keep_u = after.size > 0, currents.size > 0
        for b in range(batch):
            for t in range(steps):
                for j in range(size):
                    if keep_u:
                        currents[t, b, j] = u[b, j]
                    x, uj, vj = a[t, b, j], u[b, j], v[b, j]
                    if number is not None:
                        x, uj, vj = number(x), number(uj), number(vj)
                    uj, vj = integrate(x, uj, vj, ru[j], rv[j], bias[j])
                    before[t, b, j] = vj
                    s, vj = fire(vj, vth[j], reset_by[j], zero[j])
                    out[t, b, j] = s
                    u[b, j], v[b, j] = uj, vj
                    if keep_v:
                        after[t, b, j] = vj

    return njit(nogil=True)(kernel)


@njit(nogil=True, cache=True)
def _backward(g_out, g_u, g_v, out, before, slope, alpha, beta, removed, flags, g_a, g_before, kept):
    steps, batch, size = before.shape
    zero, attached = flags
    for b in range(batch):
        for t in range(steps - 1, -1, -1):
            for j in range(size):
                gv = g_v[b, j]
                kept[t, b, j] = gv
                gs = g_out[t, b, j] - attached * gv * (zero * before[t, b, j] + removed[j])
                gv = gv - gv * zero * out[t, b, j] + gs * slope[t, b, j]
                gu = gv + g_u[b, j]
                g_before[t, b, j] = gv
                g_a[t, b, j] = gu
                g_u[b, j] = alpha[j] * gu
                g_v[b, j] = beta[j] * gv
