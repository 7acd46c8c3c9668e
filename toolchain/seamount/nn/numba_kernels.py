"""A population through time on the CPU, in one pass over memory that numba compiles.

The way back runs the way forth once more, a block of neurons at a time: that costs less than keeping its states, since
memory is slower than arithmetic. A population that hears its own spikes adds `W s[t-1]` to its input before each step,
`W^T g[t+1]` to its spikes' gradient on the way back.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seamount.nn.loops import Pass, compiled, function, over_time, product, share
from seamount.nn.spec import Loop, Spec, backward_code, forward_code, saved


def forward(
    spec: Spec, a: Tensor, out: Tensor, kept: Sequence[Tensor], last: Sequence[Tensor], columns: Sequence[Tensor],
    keep: Sequence[int], loop: Loop | None,
) -> None:  # fmt: skip
    """Write `out`, the `kept` states and, over the first state, the `last`; arguments as in `kernels.forward`."""
    sequences, rows, matrix = [a, out, *kept], [*last], []
    if loop is not None:
        sequences, rows, matrix = [*sequences, loop.heard], [*rows, loop.before], [loop.weight.t()]
    numbers = a.new_tensor([1.0, *forward_code(spec).numbers])
    kernel = _forward_kernel(spec, tuple(keep))
    share(kernel, a, spec.recurrent, [*sequences, *rows, *columns, *matrix, numbers])


def backward(
    spec: Spec, g: Tensor, a: Tensor, states: Sequence[Tensor], constants: Sequence[Tensor], chip: Sequence[Tensor],
    a_unit: Tensor, unit: Tensor, g_a: Tensor, carried: Sequence[Tensor], sums: Sequence[Tensor], loop: Tensor | None,
) -> None:  # fmt: skip
    """Write `g_a`, the constants' `sums` and, over what arrives at the last state, what leaves the first: `carried`."""
    rows, matrix = [*(s.clone() for s in states), *carried, *sums], []
    if loop is not None:
        rows, matrix = [*rows, torch.empty_like(a[0]), torch.zeros_like(a[0])], [loop]
    columns = [*constants, *(chip if spec.chip_step else []), a_unit, unit]
    numbers = a.new_tensor([1.0, *backward_code(spec).numbers, *forward_code(spec).numbers])
    share(_backward_kernel(spec), a, spec.recurrent, [g, a, g_a, *rows, *columns, *matrix, numbers])


def _step(spec: Spec, heard: str, first_number: int) -> tuple[str, dict[str, Any]]:
    """The line of a forward step, `o` and `z0, z1 ..` from the states `s0, s1 ..`, and what it calls."""
    code, values = forward_code(spec), [heard, *(f"s{k}[j]" for k in range(spec.states))]
    one = "n0"
    if spec.chip_step:
        values, one = [f"int64({v})" for v in values], "1"
    values += [*(f"{c}[j]" for c in spec.columns), one, *(f"n{first_number + i}" for i in range(len(code.numbers)))]
    results = ["o", *(f"z{k}" for k in range(spec.states))]
    line = f"{', '.join(results)} = forth({', '.join(values)})"
    return line, {"forth": function(code.source, inline=True), "int64": np.int64}


@cache
def _forward_kernel(spec: Spec, keep: tuple[int, ...]) -> Any:
    line, scope = _step(spec, "x[j]" if spec.recurrent else "a[j]", 1)
    states, sequences, row = [f"s{k}" for k in range(spec.states)], ["a", "out", *(f"k{k}" for k in keep)], ""
    lines = [
        *(f"k{k}[j] = s{k}[j]" for k in keep),
        line,
        "out[j] = o",
        *(f"{s}[j] = z{k}" for k, s in enumerate(states)),
    ]
    if spec.recurrent:
        scope |= {"product": compiled()(product), "floor": np.floor}
        row = "product(x, before if t == 0 else all_out[t - 1, b], weight)"
        lines.insert(0, "x[j] = a[j] + floor(x[j])" if spec.chip_step else "x[j] = a[j] + x[j]")
        sequences, states = [*sequences, "x"], [*states, "before"]
    numbers = 1 + len(forward_code(spec).numbers)
    return over_time([Pass(lines, row)], sequences, states, spec.columns, [], numbers, scope, spec.recurrent)


@cache
def _backward_kernel(spec: Spec) -> Any:
    code, keep = backward_code(spec), saved(spec)
    line, scope = _step(spec, "a[j]", 1 + len(code.numbers))
    states, carried = [f"s{k}" for k in range(spec.states)], [f"h{k}" for k in range(spec.states)]
    kept, sums = [f"k{k}" for k in keep], [f"p{k}" for k in spec.wanted]
    forth = [
        *(f"k{k}[j] = s{k}[j]" for k in keep),
        line,
        "sent[j] = (o > 0) - (o < 0)",
        *(f"{s}[j] = z{k}" for k, s in enumerate(states)),
    ]
    results = ["ga", *(f"z{k}" for k in range(spec.states)), *(f"q{k}" for k in spec.wanted)]
    values = ["g[j] + total[j]" if spec.recurrent else "g[j]", *(f"{h}[j]" for h in carried), "a[j] * a_unit[j]"]
    values += [f"k{k}[j] * unit[j]" if k in keep else "n0" for k in range(spec.states)]
    values += ["up", "down", *(f"{c}[j]" for c in spec.free), *(f"n{i}" for i in range(1 + len(code.numbers)))]
    back = [
        "up, down = (sent[j] > 0) * n0, (sent[j] < 0) * n0",
        f"{', '.join(results)}{',' if len(results) == 1 else ''} = step({', '.join(values)})",
        "g_a[j] = ga * a_unit[j]",
        *(f"{h}[j] = z{k}" for k, h in enumerate(carried)),
        *(f"{p}[j] += q{k}" for k, p in zip(spec.wanted, sums, strict=True)),
    ]
    scope |= {"step": function(code.source, inline=True)}
    rows, row = [*states, *carried, *sums], ""
    if spec.recurrent:
        scope |= {"product": compiled()(product)}
        row = "product(total, after if t + 1 == steps else all_g_a[t + 1, b], weight)"
        rows += ["total", "after"]
    columns = [*spec.free, *(spec.columns if spec.chip_step else []), "a_unit", "unit"]
    passes = [Pass(forth), Pass(back, row, reverse=True)]
    numbers = 1 + len(code.numbers) + len(forward_code(spec).numbers)
    return over_time(passes, ["g", "a", "g_a"], rows, columns, [*kept, "sent"], numbers, scope, spec.recurrent)
