r"""What a rule asks of a neuron: its step with the step's partial derivatives, and its linear response.

Nothing here is written for one neuron: `seamount.nn.trace` records the neuron's own float step and derives the rest.
With z the difference that a spike is the sign of (v before the reset minus vth; for a readout, what it returns):

    partials   d s / d (a, y),  d y' / d (a, y)      y, y' the state before and after; f(z) for the spike's derivative
    response   e' = J e + b x,  z = e'[out]          the partials with spikes taken as constants, where numbers alone
                                                     are left: alpha and beta. Of a LIF: e' = beta e + x

The response is what makes a trace of vectors possible: it is the same for every neuron of the population, and does not
depend on what the neuron does. Where spikes or v are left in it (reset to zero, an adaptive threshold, a refractory
time) there is none.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

import torch
from torch import Tensor

from seamount.nn import Neuron, Surrogate, trace
from seamount.nn.trace import Value

Row = tuple[Tensor | None, tuple[Tensor | None, ...]]
"""Partial derivatives of one result by a and by each state, `[B, ...]` or `[]`; None where there is no dependence."""


@dataclass(frozen=True)
class Step:
    """What a step of a population gave.

    Attributes:
        out: spikes, or v of a readout, `[B, ...]`.
        surrogate: f(z), `[B, ...]`; None for a readout, whose derivative is 1.
        state: after the step.
        partials: of `out` and of each state after the step; empty unless asked for.
    """

    out: Tensor
    surrogate: Tensor | None
    state: tuple[Tensor, ...]
    partials: tuple[Row, ...]


@dataclass(frozen=True)
class Code:
    """A written function and which of its results is which; None for a derivative that is 0."""

    function: Callable[..., tuple]
    numbers: tuple[float, ...]
    layout: tuple[int | None, ...]
    inputs: frozenset[str]


@dataclass(frozen=True)
class Kind:
    """What the derivatives of a population depend on; equal ones share their code.

    Args:
        step: the neuron's float step.
        states: number of state variables.
        constants: a number where a constant is fixed, None where it comes as a tensor.
        surrogate: None for a readout.
        detach: leave what spikes do to the state out of the derivatives.
    """

    step: Callable[..., tuple]
    states: int
    constants: tuple[float | None, ...]
    surrogate: Surrogate | None
    detach: bool

    @property
    def arguments(self) -> list[str]:
        free = [f"c{k}" for k, value in enumerate(self.constants) if value is None]
        return ["a", *(f"y{k}" for k in range(self.states)), *free]


class Dynamics:
    """A population as the rules see it.

    Args:
        neuron: the population.
        detach: leave what spikes do to the state out of the derivatives, whatever the neuron itself says.
        partials: whether `step` gives them.
    """

    def __init__(self, neuron: Neuron, *, detach: bool, partials: bool) -> None:
        self.neuron, self.partials = neuron, partials
        self.constants = neuron.constants()
        node = neuron.node_type
        self.kind = Kind(
            step=node.step,
            states=len(node.STATE),
            constants=tuple(None if isinstance(c, Tensor) else c for c in self.constants),
            surrogate=neuron.surrogate if node.spiking else None,
            detach=detach or neuron.detach_reset,
        )

    def refresh(self) -> None:
        """Read the neuron's parameters again."""
        self.constants = self.neuron.constants()

    def step(self, a: Tensor, state: tuple[Tensor, ...]) -> Step:
        """One step on synaptic input `a [B, ...]`."""
        code = _step_code(self.kind, self.partials)
        tensors = [c.detach().to(a.dtype) for c in self.constants if isinstance(c, Tensor)]
        numbers = torch.tensor([1.0, *code.numbers], dtype=a.dtype, device=a.device)
        results = code.function(a, *state, *tensors, *numbers)
        at = [None if k is None else results[k] for k in code.layout]
        states = self.kind.states
        out, surrogate, *rest = at
        rows = [rest[states + k * (states + 1) : states + (k + 1) * (states + 1)] for k in range(states + 1)]
        partials = tuple((row[0], tuple(row[1:])) for row in rows) if self.partials else ()
        return Step(out, surrogate, tuple(rest[:states]), partials)  # type: ignore[arg-type]

    def response(self) -> Filter | str:
        """The population's linear response, or why it has none."""
        kind = self.kind
        code = _response_code(kind)
        if code is None:
            return "its signed spikes have two derivatives"
        if code.inputs & {"a", *(f"y{k}" for k in range(kind.states))}:
            return "what it remembers depends on its own spikes (reset to zero, refractory or adaptive)"
        tensors = [c.detach().double() for c in self.constants if isinstance(c, Tensor)]
        numbers = torch.tensor([1.0, *code.numbers], dtype=torch.float64)
        results = code.function(None, *[None] * kind.states, *tensors, *numbers)
        if differing := [r for r in results if r.min() != r.max()]:
            low, high = (float(getattr(differing[0], which)()) for which in ("min", "max"))
            return f"its neurons retain {low:.4g}..{high:.4g} of their state, and a trace has one retention"
        values = [0.0 if k is None else float(results[k].reshape(-1)[0]) for k in code.layout]
        width = kind.states + 1
        rows = [values[k * width : (k + 1) * width] for k in range(width)]
        if rows[0] not in rows[1:]:
            return "its threshold looks at something else than a state"
        return Filter.of([row[1:] for row in rows[1:]], [row[0] for row in rows[1:]], rows[1:].index(rows[0]))


@dataclass(frozen=True)
class Filter:
    """A linear response `e' = matrix e + gains x; z = e'[out]`, the same for every neuron.

    Example:
        >>> trace = Filter(((0.5,),), (1.0,)).trace()
        >>> [float(trace(torch.ones(()))) for _ in range(3)]
        [1.0, 1.5, 1.75]
    """

    matrix: tuple[tuple[float, ...], ...]
    gains: tuple[float, ...]
    out: int = 0

    @classmethod
    def of(cls, matrix: list[list[float]], gains: list[float], out: int) -> Filter:
        """Without the states that do not reach z."""
        needed = {out}
        while more := {j for k in needed for j, m in enumerate(matrix[k]) if m} - needed:
            needed |= more
        kept = sorted(needed)
        rows = tuple(tuple(matrix[k][j] for j in kept) for k in kept)
        return cls(rows, tuple(gains[k] for k in kept), kept.index(out))

    @classmethod
    def leak(cls, retention: float) -> Filter:
        """`z = retention z + x`."""
        return cls(((retention,),), (1.0,))

    def trace(self) -> Trace:
        """A response to one signal, from 0."""
        return Trace(self)


class Trace:
    """A filter's response to a signal, updated in place.

    Attributes:
        value: z of the last step; the same tensor in every step.
    """

    def __init__(self, filter: Filter) -> None:  # noqa: A002
        self.filter = filter
        self.states: list[Tensor] = []

    @property
    def value(self) -> Tensor:
        return self.states[self.filter.out]

    def __call__(self, x: Tensor) -> Tensor:
        """Take the signal of this step, `[B, ...]`; returns `value`."""
        if not self.states:
            self.states = [torch.zeros_like(x) for _ in self.filter.gains]
        matrix, gains = self.filter.matrix, self.filter.gains
        if len(gains) == 1:
            return self.states[0].mul_(matrix[0][0]).add_(x, alpha=gains[0])
        old = [state.clone() for state in self.states]
        for state, row, gain in zip(self.states, matrix, gains, strict=True):
            torch.mul(x, gain, out=state)
            for factor, before in zip(row, old, strict=True):
                if factor:
                    state.add_(before, alpha=factor)
        return self.value

    def reset(self) -> None:
        """Begin again from 0."""
        self.states = []


@cache
def _step_code(kind: Kind, partials: bool) -> Code:
    tape = trace.record(kind.step, kind.states, kind.constants)
    leaves = [tape.inputs[name] for name in kind.arguments[: kind.states + 1]]
    surrogate = kind.surrogate
    results: list[Value | None] = [tape.out, None, *tape.states]
    if surrogate is not None:
        slopes = [surrogate(_difference(spike)) for spike in tape.spikes]
        results[1] = reduce(operator.add, slopes)
    if partials:
        results += _row(trace.adjoints([(tape.out, trace.number(1))], surrogate, tape.spikes), leaves)
        for state in tape.states:
            slope = None if kind.detach else surrogate
            results += _row(trace.adjoints([(state, trace.number(1))], slope, tape.spikes), leaves)
    return _code(kind, results)


@cache
def _response_code(kind: Kind) -> Code | None:
    tape = trace.record(kind.step, kind.states, kind.constants)
    if len(tape.spikes) > 1:
        return None
    leaves = [tape.inputs[name] for name in kind.arguments[: kind.states + 1]]
    z = _difference(tape.spikes[0]) if tape.spikes else tape.out
    results: list[Value | None] = []
    for value in (z, *tape.states):
        results += _row(trace.adjoints([(value, trace.number(1))], None, tape.spikes), leaves)
    return _code(kind, results)


def _difference(spike: Value) -> Value:
    """What a comparison is the sign of."""
    a, b = spike.args if spike.op == ">" else spike.args[::-1]
    return a - b


def _row(gradients: dict[int, Value], leaves: list[Value]) -> list[Value | None]:
    found = [gradients.get(id(leaf)) for leaf in leaves]
    return [None if g is None or trace.is_number(g, 0) else g for g in found]


def _code(kind: Kind, results: list[Value | None]) -> Code:
    there = [r for r in results if r is not None]
    written = trace.write("step", kind.arguments, there, {})
    scope: dict[str, Any] = {}
    exec(written.source, scope)
    count = iter(range(len(there)))
    layout = tuple(None if r is None else next(count) for r in results)
    return Code(scope["step"], written.numbers, layout, written.inputs)
