"""A population through time, forward and backward, on whatever suits its device: kernels, or a loop of tensors.

All run the same written-out step (`spec.py`): `numba_kernels.py` in one pass over memory for CPU tensors,
`triton_kernels.py` for those of a GPU where Triton is installed. The loop of tensors runs anywhere, small populations
and those that hear themselves on a GPU; it says what the kernels compute, to the bit forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from seamount.nn import numba_kernels
from seamount.nn.loops import function
from seamount.nn.memory import empty
from seamount.nn.spec import Loop, Spec, backward_code, forward_code, saved

FUSED = 1 << 14
"""Values of `[T, B, N]` from which a kernel for the CPU is worth its compilation, about a second, once in a process."""


def fused(spec: Spec, a: Tensor) -> Any:
    """The module whose `forward` and `backward` run a population in one kernel; None where the loop of tensors does."""
    if a.device.type == "cpu":
        return numba_kernels if a.numel() >= FUSED else None
    alone = a.device.type == "cuda" and a.dtype in (torch.float32, torch.float64) and not spec.recurrent
    return _triton() if alone else None


@cache
def _triton() -> Any:
    return import_module("seamount.nn.triton_kernels") if find_spec("triton") else None


def forward(
    spec: Spec, a: Tensor, states: Sequence[Tensor], constants: Sequence[Tensor], chip: Sequence[Tensor],
    keep: Sequence[int], loop: Loop | None = None,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:  # fmt: skip
    """Run a population.

    Args:
        spec: what runs.
        a: float `[T, B, N]`.
        states: each `[B, N]`, in a's dtype.
        constants: those that come as tensors, each `[N]` in a's dtype; not looked at where `chip` is given.
        chip: constants of the integer step, each int64 `[N]`.
        keep: which state variables to return for every step.
        loop: of a recurrent population.

    Returns:
        The output `[T, B, N]`; each kept state before each step, `[T, B, N]`; the last state.
    """
    columns, out = chip if spec.chip_step else constants, empty(*a.shape, like=a)
    kept, last = [empty(*a.shape, like=a) for _ in keep], [s.clone() for s in states]
    if loop is not None:
        loop.heard = empty(*a.shape, like=a)
    if kernels := fused(spec, a):
        kernels.forward(spec, a, out, kept, last, columns, keep, loop)
        return out, kept, last
    step, number, numbers = spec.chip_step, torch.int64, []
    if step is None:
        code = forward_code(spec)
        step, number, numbers = function(code.source), a.dtype, [*a.new_tensor([1.0, *code.numbers])]
    state = [s.to(number) for s in last]
    for t in range(len(a)):
        for array, k in zip(kept, keep, strict=True):
            array[t] = state[k]
        heard = a[t]
        if loop is not None:
            total = (out[t - 1] if t else loop.before) @ loop.weight.t()
            loop.heard[t] = heard = heard + (total.floor() if spec.chip_step else total)
        out[t], *state = step(heard.to(number), *state, *columns, *numbers)
    return out, kept, [s.to(a.dtype) for s in state]


def backward(
    spec: Spec, g: Tensor, gradients: Sequence[Tensor], a: Tensor, states: Sequence[Tensor],
    constants: Sequence[Tensor], chip: Sequence[Tensor], a_unit: Tensor, unit: Tensor, loop: Tensor | None = None,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:  # fmt: skip
    """Gradients of a population's run, which is run once more instead of having been kept.

    Args:
        spec: what ran.
        g: gradient of the output, `[T, B, N]`.
        gradients: of the last state, each `[B, N]`.
        a: input of `forward`, `[T, B, N]`; of a recurrent population what it heard.
        states, chip: those of `forward`.
        constants: those that come as tensors, each `[N]`; of a chip's population dequantized.
        a_unit, unit: value of one unit of a and of the state, `[N]`.
        loop: the weight of a recurrent population, `[N, N]`.

    Returns:
        Gradients of a `[T, B, N]`, of the first state, each `[B, N]`, and of the wanted constants, each `[B, N]`.
    """
    g_a, carried = empty(*a.shape, like=a), [h.clone() for h in gradients]
    sums = [torch.zeros_like(h) for h in carried[:1] for _ in spec.wanted]
    if kernels := fused(spec, a):
        kernels.backward(spec, g, a, states, constants, chip, a_unit, unit, g_a, carried, sums, loop)
        return g_a, carried, sums
    code, keep = backward_code(spec), saved(spec)
    out, kept, _ = forward(spec, a, states, constants, chip, keep)
    step, zero, numbers = function(code.source), torch.zeros_like(a[0]), a.new_tensor([1.0, *code.numbers])
    for t in reversed(range(len(a))):
        old = [zero] * spec.states
        for k, array in zip(keep, kept, strict=True):
            old[k] = array[t] * unit
        up, down = (out[t] > 0).to(a.dtype), (out[t] < 0).to(a.dtype)
        g_out = g[t] if loop is None or t + 1 == len(a) else g[t] + g_a[t + 1] @ loop
        results = step(g_out, *carried, a[t] * a_unit, *old, up, down, *constants, *numbers)
        g_a[t], carried = results[0] * a_unit, [zero + h for h in results[1 : 1 + spec.states]]
        for total, value in zip(sums, results[1 + spec.states :], strict=True):
            total += value
    return g_a, carried, sums
