r"""What a rule asks of a neuron: its step with the step's partial derivatives, and its linear response.

Nothing here is written for one neuron: `seamount.nn.trace` records the neuron's own float step and derives the rest.
With z the difference that a spike is the sign of (v before the reset minus vth; for a readout, what it returns):

    partials   d s / d (a, y, c),  d y' / d (a, y, c)      y, y' the state before and after, c what else trains; f(z)
                                                         for the spike's derivative
    response   e' = J e + b x,  z = e'[out]          the partials with spikes taken as constants, where numbers alone
                                                     are left: alpha and beta. Of a LIF: e' = beta e + x

The response is what makes a trace of vectors possible: it is the same for every neuron of the population, and does not
depend on what the neuron does. Where spikes or v are left in it (reset to zero, an adaptive threshold, a refractory
time) there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from seamount.nn import Neuron, Surrogate, trace
from seamount.nn.loops import function
from seamount.nn.trace import Value

Row = tuple[Tensor | None, tuple[Tensor | None, ...], tuple[Tensor | None, ...]]
"""Partial derivatives of one result by a, by each state and by each constant that trains, `[B, ...]` or `[]`; None for
what it does not depend on."""


@dataclass(frozen=True)
class Step:
    """What a step of a population gave.

    Attributes:
        out: spikes, or v of a readout, `[B, ...]`.
        slope: d out / d a, `[B, ...]`: f(z); None where it is 1, as of a readout.
        state: after the step.
        partials: of `out` and of each state after the step; empty unless asked for.
    """

    out: Tensor
    slope: Tensor | None
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
        wanted: which constants train.
    """

    step: Callable[..., tuple]
    states: int
    constants: tuple[float | None, ...]
    surrogate: Surrogate | None
    detach: bool
    wanted: tuple[int, ...]

    @property
    def arguments(self) -> list[str]:
        free = [f"c{k}" for k, value in enumerate(self.constants) if value is None]
        return ["a", *(f"y{k}" for k in range(self.states)), *free]


class Dynamics:
    """A population as the rules see it.

    Args:
        neuron: the population.
        detach: leave what spikes do to the state out of the derivatives, whatever the neuron itself says.
        partials: whether `step` gives them; where parameters of the neuron train, it does in any case.

    Attributes:
        trained: the constants of the step that train.
    """

    def __init__(self, neuron: Neuron, *, detach: bool, partials: bool) -> None:
        self.neuron = neuron
        self.refresh()
        node = neuron.node_type
        self.kind = Kind(
            step=node.step,
            states=len(node.STATE),
            constants=tuple(None if isinstance(c, Tensor) else c for c in self.constants),
            surrogate=neuron.surrogate if node.spiking else None,
            detach=detach or neuron.detach_reset,
            wanted=tuple(k for k, c in enumerate(self.constants) if isinstance(c, Tensor) and c.requires_grad),
        )
        self.partials = partials or bool(self.kind.wanted)

    @property
    def trained(self) -> list[Tensor]:
        return [self.constants[k] for k in self.kind.wanted]

    def refresh(self) -> None:
        """Read the neuron's parameters again."""
        with torch.enable_grad():
            self.constants = self.neuron.constants()

    def step(self, a: Tensor, state: tuple[Tensor, ...]) -> Step:
        """One step on synaptic input `a [B, ...]`."""
        if self.kind.wanted:
            self.refresh()
        code = _step_code(self.kind, self.partials)
        tensors = [c.detach().to(a.dtype) for c in self.constants if isinstance(c, Tensor)]
        results = code.function(a, *state, *tensors, *_numbers(code, a.dtype, a.device))
        found = iter(None if k is None else results[k] for k in code.layout)
        states, constants = range(self.kind.states), range(len(self.kind.wanted))
        out, slope, *new = (next(found) for _ in range(2 + len(states)))
        rows = range(1 + len(states) if self.partials else 0)
        partials = tuple(
            (next(found), tuple(next(found) for _ in states), tuple(next(found) for _ in constants)) for _ in rows
        )
        return Step(out, slope, tuple(new), partials)  # type: ignore[arg-type]

    def response(self) -> Filter | str:
        """The population's linear response, or why it has none."""
        kind = self.kind
        code = _response_code(kind)
        if code is None:
            return "its spikes are not 0 and 1 at one threshold"
        if code.inputs & {"a", *(f"y{k}" for k in range(kind.states))}:
            return "what it remembers depends on its own spikes (reset to zero, refractory or adaptive)"
        tensors = [c.detach().double() for c in self.constants if isinstance(c, Tensor)]
        numbers = torch.tensor([1.0, *code.numbers], dtype=torch.float64)
        results = code.function(None, *[None] * kind.states, *tensors, *numbers)
        if differing := [r for r in results if r.min() != r.max()]:
            low, high = (float(getattr(differing[0], which)()) for which in ("min", "max"))
            return f"its neurons retain {low:.4g}..{high:.4g} of their state, and a trace has one retention"
        own = [k for k in kind.wanted if f"c{k}" in code.inputs and self.constants[k].numel() > 1]  # type: ignore[union-attr]
        if own:
            return "its neurons learn retentions of their own, and a trace has one retention"
        values = [0.0 if k is None else float(results[k].reshape(-1)[0]) for k in code.layout]
        width = kind.states + 1
        rows = [values[k * width : (k + 1) * width] for k in range(width)]
        if rows[0] not in rows[1:] or rows[0][0] != 1:
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
    names = [*kind.arguments[: kind.states + 1], *(f"c{k}" for k in kind.wanted)]
    leaves = [tape.inputs[name] for name in names]
    of_out = _row(tape, tape.out, kind.surrogate, leaves)
    slope = None if of_out[0] is not None and trace.is_number(of_out[0], 1) else of_out[0]
    results = [tape.out, slope, *tape.states]
    if partials:
        results += of_out
        for state in tape.states:
            results += _row(tape, state, None if kind.detach else kind.surrogate, leaves)
    return _code(kind, results)


@cache
def _numbers(code: Code, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    return torch.tensor([1.0, *code.numbers], dtype=dtype, device=device).unbind()


@cache
def _response_code(kind: Kind) -> Code | None:
    tape = trace.record(kind.step, kind.states, kind.constants)
    if kind.surrogate is not None and [tape.out] != tape.spikes:
        return None
    leaves = [tape.inputs[name] for name in kind.arguments[: kind.states + 1]]
    z = _difference(tape.out) if tape.spikes else tape.out
    return _code(kind, [g for value in (z, *tape.states) for g in _row(tape, value, None, leaves)])


def _difference(spike: Value) -> Value:
    """What a comparison is the sign of."""
    a, b = spike.args if spike.op == ">" else spike.args[::-1]
    return a - b


def _row(tape: trace.Tape, result: Value, surrogate: Surrogate | None, leaves: list[Value]) -> list[Value | None]:
    """Derivatives of a result by the leaves; None where one is 0."""
    gradients = trace.adjoints([(result, trace.number(1))], surrogate, tape.spikes)
    found = [gradients.get(id(leaf)) for leaf in leaves]
    return [None if g is None or trace.is_number(g, 0) else g for g in found]


def _code(kind: Kind, results: list[Value | None]) -> Code:
    there = [r for r in results if r is not None]
    written = trace.write("step", kind.arguments, there, {})
    count = iter(range(len(there)))
    layout = tuple(None if r is None else next(count) for r in results)
    return Code(function(written.source), written.numbers, layout, written.inputs)
