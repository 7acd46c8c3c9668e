"""A population through time on a GPU: one Triton kernel forward and one backward.

A program is a block of neurons of the batch. It keeps their state in registers and walks over time; the step that it
takes is the one that `spec.py` writes out. The way back reads the states that a run forth has just left behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from seamount.nn.loops import defined
from seamount.nn.memory import empty
from seamount.nn.spec import Loop, Spec, backward_code, forward_code, saved
from seamount.nn.trace import Code

BLOCK = 128
"""Neurons of a program, one a thread: layers are small, and time goes one step after the other."""
AHEAD = 3
"""Steps whose input is under way from memory at a time."""
OPTIONS = {"num_warps": BLOCK // 32, "enable_fp_fusion": False}
"""Products and sums are rounded one by one, as in the loop of tensors: what fires there fires here."""


def forward(
    spec: Spec, a: Tensor, out: Tensor, kept: Sequence[Tensor], last: Sequence[Tensor], columns: Sequence[Tensor],
    keep: Sequence[int], loop: Loop | None = None,
) -> None:  # fmt: skip
    """Write `out`, the `kept` states and, over the first state, the `last`; arguments as in `kernels.forward`."""
    assert loop is None
    _launch(forward_kernel(spec, tuple(keep)), a, [a, out, *kept, *last, *columns])


def backward(
    spec: Spec, g: Tensor, a: Tensor, states: Sequence[Tensor], constants: Sequence[Tensor], chip: Sequence[Tensor],
    a_unit: Tensor, unit: Tensor, g_a: Tensor, carried: Sequence[Tensor], sums: Sequence[Tensor],
    loop: Tensor | None = None,
) -> None:  # fmt: skip
    """Write `g_a`, the constants' `sums` and, over what arrives at the last state, what leaves the first: `carried`."""
    assert loop is None
    keep, columns = saved(spec), chip if spec.chip_step else constants
    out, kept = empty(*a.shape, like=a), [empty(*a.shape, like=a) for _ in keep]
    forward(spec, a, out, kept, [s.clone() for s in states], columns, keep)
    arrays = [g, a, out, *kept, g_a, *carried, *sums, *constants, a_unit, unit]
    _launch(backward_kernel(spec), a, arrays, back=True)


@cache
def forward_kernel(spec: Spec, keep: tuple[int, ...]) -> Any:
    """`(a, out, kept.., states.., columns.., steps, first, stride, size, width)`."""
    states, kept = [f"s{k}" for k in range(spec.states)], [f"k{k}" for k in keep]
    code, values = forward_code(spec), [f"{x}.to(one.dtype)" for x in ("a", *states)]
    lines = [
        *(f"k{k} = s{k}" for k in keep),
        f"{', '.join(['out', *states])} = {_call(code, [*values, *spec.columns])}",
    ]
    return _over_time(code, lines, ["a"], ["out", *kept], states, spec.columns, spec.chip_step is not None)


@cache
def backward_kernel(spec: Spec) -> Any:
    """`(g, a, out, kept.., g_a, carried.., sums.., constants.., a_unit, unit, steps, first, stride, size, width)`."""
    keep, carried, sums = saved(spec), [f"h{k}" for k in range(spec.states)], [f"p{k}" for k in spec.wanted]
    values = ["g", *carried, "a * a_unit", *(f"k{k} * unit" if k in keep else "zero" for k in range(spec.states))]
    values += ["(out > 0) * one", "(out < 0) * one", *spec.free]
    results = ["g_a", *(f"z{k}" for k in range(spec.states)), *(f"q{k}" for k in spec.wanted)]
    lines = [
        "zero = 0 * unit",
        f"{', '.join(results)}{',' if len(results) == 1 else ''} = {_call(backward_code(spec), values)}",
        "g_a *= a_unit",
        *(f"{h} = zero + z{k}" for k, h in enumerate(carried)),
        *(f"{p} += q{k}" for k, p in zip(spec.wanted, sums, strict=True)),
    ]
    reads = ["g", "a", "out", *(f"k{k}" for k in keep)]
    return _over_time(backward_code(spec), lines, reads, ["g_a"], [*carried, *sums], [*spec.free, "a_unit", "unit"])


def _call(code: Code, values: Sequence[str]) -> str:
    return f"step({', '.join([*values, 'one', *map(repr, code.numbers)])})"


def _over_time(
    code: Code, lines: Sequence[str], reads: Sequence[str], writes: Sequence[str], states: Sequence[str],
    columns: Sequence[str], whole: bool = False,
) -> Any:  # fmt: skip
    """A kernel of lines that are run for each step; what they use and set goes by name.

    Args:
        code: the `step` that the lines call.
        lines: of Triton.
        reads, writes: sequences `[T, B, N]`.
        states: `[B, N]`, read before the first step and written after the last.
        columns: `[N]`.
        whole: calculates in int64 instead of in the dtype of the sequences.
    """
    arrays = ", ".join(f"all_{name}" for name in (*reads, *writes, *states, *columns))
    text = [
        code.source,
        "",
        f"def loop({arrays}, steps, first, stride, size, width, BLOCK: tl.constexpr, AHEAD: tl.constexpr):",
        "    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)",
        "    inside, column, here = j < size, j % width, j + first",
        f"    one = tl.full((), 1, {'tl.int64' if whole else f'all_{reads[0]}.dtype.element_ty'})",
        *(f"    {name} = tl.load(all_{name} + j, inside, 0).to(one.dtype)" for name in states),
        *(f"    {name} = tl.load(all_{name} + column, inside, 0)" for name in columns),
        "    for _ in tl.range(steps, num_stages=AHEAD):",
        *(f"        {name} = tl.load(all_{name} + here, inside, 0)" for name in reads),
        *(f"        {line}" for line in lines),
        *(f"        tl.store(all_{name} + here, {name}, inside)" for name in writes),
        "        here += stride",
        *(f"    tl.store(all_{name} + j, {name}, inside)" for name in states),
    ]
    scope = defined("\n".join(text), {"__name__": __name__, "tl": tl, "abs": _abs, "pow": _pow})
    scope["step"] = triton.jit(scope["step"])
    return triton.jit(scope["loop"])


def _launch(kernel: Any, a: Tensor, arrays: Sequence[Tensor], back: bool = False) -> None:
    """Call what `_over_time` made for `a [T, B, N]`, from the last step to the first if `back`."""
    assert all(t.is_contiguous() for t in arrays)
    steps, size = len(a), a[0].numel()
    first, stride = (size * (steps - 1), -size) if back else (0, size)
    with torch.cuda.device_of(a):
        kernel[(triton.cdiv(size, BLOCK),)](
            *arrays, steps, first, stride, size, a.shape[2], BLOCK=BLOCK, AHEAD=AHEAD, **OPTIONS
        )  # fmt: skip


@triton.jit
def _abs(x):
    return tl.abs(x)


@triton.jit
def _pow(base, x):
    """`base ** x` of a positive number."""
    return tl.exp(x * tl.log(tl.full((), base, x.dtype)))
