"""A population through time, forward and backward: for CPU tensors one pass over memory, for others a loop of tensors.

Both run the same written-out step (`trace.py`), which `loops.py` compiles. The way back runs the way forth once more, a
block of neurons at a time: that costs less than keeping its states, since memory is slower than arithmetic.
A population that hears its own spikes adds `W s[t-1]` to its input before each step, `W^T g[t+1]` to its spikes'
gradient on the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seamount.nn import trace
from seamount.nn.loops import Pass, compiled, function, over_time, product, share
from seamount.nn.memory import empty
from seamount.nn.surrogate import Surrogate
from seamount.nn.trace import Value

FUSED = 1 << 14
"""Values of `[T, B, N]` from which a kernel is worth its compilation, about a second, once in a process."""


@dataclass
class Loop:
    """What a recurrent population hears of itself: `x[t] = a[t] + W s[t-1]`, on a chip `a[t] + floor(W s[t-1])`.

    Args:
        weight: W, float `[N, N]` by output and input.
        before: spikes before the first step, float `[B, N]`.

    Attributes:
        heard: x, `[T, B, N]`, once it ran.
    """

    weight: Tensor
    before: Tensor
    heard: Tensor = field(init=False)


@dataclass(frozen=True)
class Spec:
    """What a kernel is made for; equal ones share it.

    Args:
        step: the neuron's float step.
        chip_step: its integer step, if that is what runs forward.
        chip_constants: how many constants that takes.
        states: number of state variables.
        constants: a number where a constant is fixed, None where it comes as a tensor.
        surrogate: None for a readout.
        detach: leave what spikes do to the state out of the backward pass.
        wanted: which constants need a gradient.
        recurrent: hears its own spikes of the last step.
    """

    step: Callable[..., tuple]
    chip_step: Callable[..., tuple] | None
    chip_constants: int
    states: int
    constants: tuple[float | None, ...]
    surrogate: Surrogate | None
    detach: bool
    wanted: tuple[int, ...]

    recurrent: bool = False

    @property
    def free(self) -> list[str]:
        """Names of the constants that come as tensors."""
        return [f"c{k}" for k, value in enumerate(self.constants) if value is None]

    @property
    def old(self) -> list[str]:
        """Names of the state before a step."""
        return [f"y{k}" for k in range(self.states)]


@cache
def forward_code(spec: Spec) -> trace.Code:
    """`step(a, y.., c..) -> (out, y..)`."""
    tape = trace.record(spec.step, spec.states, spec.constants)
    return trace.write("step", ["a", *spec.old, *spec.free], [tape.out, *tape.states], {})


@cache
def backward_code(spec: Spec) -> trace.Code:
    """`step(g, h.., a, y.., e0, e1, c..) -> (ga, h.., gc..)`: gradients of a step from those of its results.

    `g` arrives at the output, `h..` at the new state; `e0`, `e1` are the spikes that were sent, up and down.
    """
    tape = trace.record(spec.step, spec.states, spec.constants)
    g, *h = (Value("input", (name,)) for name in ("g", *(f"h{k}" for k in range(spec.states))))
    states = list(zip(tape.states, h, strict=True))
    if spec.detach:
        parts = [
            trace.adjoints([(tape.out, g)], spec.surrogate, tape.spikes),
            trace.adjoints(states, None, tape.spikes),
        ]
    else:
        parts = [trace.adjoints([(tape.out, g), *states], spec.surrogate, tape.spikes)]

    def total(name: str) -> Value:
        leaf = tape.inputs[name]
        return sum((part[id(leaf)] for part in parts if id(leaf) in part), trace.number(0))

    results = [total(name) for name in ("a", *spec.old, *(f"c{k}" for k in spec.wanted))]
    given = {id(spike): f"e{i}" for i, spike in enumerate(tape.sent)}
    arguments = ["g", *(f"h{k}" for k in range(spec.states)), "a", *spec.old, "e0", "e1", *spec.free]
    return trace.write("step", arguments, results, given)


def saved(spec: Spec) -> list[int]:
    """Which state variables the backward pass needs."""
    return [k for k in range(spec.states) if f"y{k}" in backward_code(spec).inputs]


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
    out, last = empty(*a.shape, like=a), [s.clone() for s in states]
    kept = [empty(*a.shape, like=a) for _ in keep]
    numbers = torch.tensor([1.0, *forward_code(spec).numbers], dtype=a.dtype, device=a.device)
    if a.device.type == "cpu" and a.numel() >= FUSED:
        kernel = _forward_kernel(spec, tuple(keep))
        columns = chip if spec.chip_step else constants
        sequences, rows, matrix = [a, out, *kept], list(last), []
        if loop is not None:
            loop.heard = empty(*a.shape, like=a)
            sequences, rows, matrix = [*sequences, loop.heard], [*rows, loop.before], [loop.weight.t()]
        share(kernel, a, spec.recurrent, [*sequences, *rows, *columns, *matrix, numbers])
        return out, kept, last
    step = spec.chip_step or function(forward_code(spec).source)
    number = torch.int64 if spec.chip_step else a.dtype
    arguments = chip if spec.chip_step else [*constants, *numbers]
    state, heard = [s.to(number) for s in last], a if loop is None else a.clone()
    if loop is not None:
        loop.heard = heard
    for t in range(len(a)):
        for array, k in zip(kept, keep, strict=True):
            array[t] = state[k]
        if loop is not None:
            total = (out[t - 1] if t else loop.before) @ loop.weight.t()
            heard[t] += total.floor() if spec.chip_step else total
        out[t], *state = step(heard[t].to(number), *state, *arguments)
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
    code, keep = backward_code(spec), saved(spec)
    g_a, carried = empty(*a.shape, like=a), [h.clone() for h in gradients]
    sums = [torch.zeros_like(h) for h in carried[:1] for _ in spec.wanted]
    numbers = torch.tensor([1.0, *code.numbers], dtype=a.dtype, device=a.device)
    if a.device.type == "cpu" and a.numel() >= FUSED:
        kernel = _backward_kernel(spec)
        rows, matrix = [*(s.clone() for s in states), *carried, *sums], []
        if loop is not None:
            rows, matrix = [*rows, torch.empty_like(a[0]), torch.zeros_like(a[0])], [loop]
        columns = [*constants, *(chip if spec.chip_step else []), a_unit, unit]
        again = torch.tensor(forward_code(spec).numbers, dtype=a.dtype)
        share(kernel, a, spec.recurrent, [g, a, g_a, *rows, *columns, *matrix, torch.cat([numbers, again])])
        return g_a, carried, sums
    out, kept, _ = forward(spec, a, states, constants, chip, keep)
    step, zero = function(code.source), torch.zeros_like(a[0])
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


def _step(spec: Spec, heard: str, first_number: int) -> tuple[str, list[str], int, dict[str, Any]]:
    """The line of a forward step, `o` and `z0, z1 ..` from the states `s0, s1 ..`.

    Returns:
        The line, the names of its columns, how many numbers it uses, and what it calls.
    """
    values = [heard, *(f"s{k}[j]" for k in range(spec.states))]
    if spec.chip_step:
        columns, numbers = [f"i{k}" for k in range(spec.chip_constants)], 0
        values = [f"int64({v})" for v in values] + [f"{c}[j]" for c in columns]
        run: Any = compiled(inline="always")(spec.chip_step)
    else:
        columns, code = spec.free, forward_code(spec)
        numbers = len(code.numbers)
        names = ["n0", *(f"n{first_number + i}" for i in range(numbers))]
        values += [*(f"{c}[j]" for c in columns), *names]
        run = function(code.source, inline=True)
    results = ["o", *(f"z{k}" for k in range(spec.states))]
    return f"{', '.join(results)} = run({', '.join(values)})", columns, numbers, {"run": run, "int64": np.int64}


@cache
def _forward_kernel(spec: Spec, keep: tuple[int, ...]) -> Any:
    line, columns, numbers, scope = _step(spec, "x[j]" if spec.recurrent else "a[j]", 1)
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
    return over_time([Pass(lines, row)], sequences, states, columns, [], 1 + numbers, scope, spec.recurrent)


@cache
def _backward_kernel(spec: Spec) -> Any:
    code, keep = backward_code(spec), saved(spec)
    line, columns, again, scope = _step(spec, "a[j]", 1 + len(code.numbers))
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
    columns = [*spec.free, *(columns if spec.chip_step else []), "a_unit", "unit"]
    passes, numbers = [Pass(forth), Pass(back, row, reverse=True)], 1 + len(code.numbers) + again
    return over_time(passes, ["g", "a", "g_a"], rows, columns, [*kept, "sent"], numbers, scope, spec.recurrent)
