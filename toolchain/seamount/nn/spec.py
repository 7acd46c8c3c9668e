"""What a population's kernels are made for, and its step written out, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from torch import Tensor

from seamount.nn import trace
from seamount.nn.surrogate import Surrogate
from seamount.nn.trace import Value


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
    def columns(self) -> list[str]:
        """Names of the constants that the forward pass takes."""
        return [f"i{k}" for k in range(self.chip_constants)] if self.chip_step else self.free

    @property
    def old(self) -> list[str]:
        """Names of the state before a step."""
        return [f"y{k}" for k in range(self.states)]


@cache
def forward_code(spec: Spec) -> trace.Code:
    """`step(a, y.., c..) -> (out, y..)`, the one that runs forward: of floats, or of the chip's integers."""
    step, constants = spec.step, spec.constants
    if spec.chip_step:
        step, constants = spec.chip_step, [None] * spec.chip_constants
    tape = trace.record(step, spec.states, constants)
    return trace.write("step", list(tape.inputs), [tape.out, *tape.states], {}, whole=spec.chip_step is not None)


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
