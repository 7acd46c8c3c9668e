"""Torch modules of the neuron models.

Every module maps synaptic input `[T, B, N]` to spikes `[T, B, N]` from a clean state (`forward`), or one step of it
with the state given and returned (`step`). The sequence is equal to the loop of its steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seamount.errors import SeamountError
from seamount.neurons.cuba_lif import RESETS
from seamount.nn.sequence import Dynamics, Population
from seamount.nn.surrogate import FastSigmoid, Surrogate


class State(NamedTuple):
    """`u` and `v`, float `[B, N]`; in a quantized population whole numbers in the chip's units."""

    u: Tensor
    v: Tensor


class Neuron(nn.Module):
    """Base of LIF, CubaLIF and LI.

    Attributes:
        recording: where True, `spikes` and `v` (after the reset) of the last forward pass are kept.
        carrying: where True, a forward pass begins where the last one ended; `carried` is that state, detached.
    """

    alpha: Tensor
    beta: Tensor
    bias: Tensor
    spiking = True
    recording = False
    recorded_spikes: Tensor | None = None
    recorded_v: Tensor | None = None
    carrying = False
    carried: State | None = None

    def __init__(self, alpha: float | Tensor, beta: float | Tensor, bias: float | Tensor) -> None:
        super().__init__()
        for name, value in (("alpha", alpha), ("beta", beta)):
            value = torch.as_tensor(value, dtype=torch.float32)
            if not bool(((value >= 0) & (value <= 1)).all()):
                raise SeamountError(f"{type(self).__name__}: {name} = {value.tolist()} (allowed 0..1).")
            self.register_buffer(name, value)
        if isinstance(bias, Tensor):
            self.bias = nn.Parameter(bias.float())
        else:
            self.register_buffer("bias", torch.tensor(float(bias)))

    def initial_state(self, a: Tensor) -> State:
        """A clean state for one step of synaptic input `a [B, N]`."""
        return State(torch.zeros_like(a), torch.zeros_like(a))

    def step(self, a: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One step.

        Args:
            a: synaptic input, float `[B, N]`.
            state: of the last step; None for a clean one.

        Returns:
            Spikes (or v of a readout) `[B, N]` and the new state.
        """
        out, _, state = self._run(a[None], state or self.initial_state(a), keep_v=False)
        return out[0], state

    def forward(self, a: Tensor) -> Tensor:
        """Synaptic input `[T, B, N]` -> spikes (or v of a readout) `[T, B, N]`, from a clean state."""
        if a.ndim < 3:
            raise SeamountError(
                f"{type(self).__name__}: input has shape {list(a.shape)} (allowed [T, B, ...]). "
                "Hint: for one step use .step(x, state); for one sample add a batch dimension."
            )
        out, v, state = self._run(a, self.carried or self.initial_state(a[0]), keep_v=self.recording)
        if self.carrying:
            self.carried = State(*(x.detach() for x in state))
        if self.recording:
            self.recorded_spikes, self.recorded_v = out.detach(), v
        return out

    def _run(self, a: Tensor, state: State, keep_v: bool) -> tuple[Tensor, Tensor, State]:
        out, v, u_last, v_last = Population.apply(
            a, *state, self.alpha, self.beta, self.bias, *self._threshold(), self._dynamics(keep_v)
        )  # type: ignore[misc]
        return out, v, State(u_last, v_last)

    def _threshold(self) -> tuple[Tensor, Tensor]:
        return self.bias.new_zeros(()), self.bias.new_zeros(())

    def _dynamics(self, keep_v: bool) -> Dynamics:
        return Dynamics(keep_v=keep_v)


class CubaLIF(Neuron):
    """Current-based LIF: `u = alpha u + x;  v = beta v + u + bias;  s = v > vth`, then the reset.

    Args:
        alpha, beta: retention of u and v per step, number or tensor `[N]`.
        vth: threshold, number or tensor `[N]`; strict.
        reset: `"zero"`, `"subtract"` or `"none"`.
        reset_by: what `"subtract"` takes away; default vth.
        bias: added to v in each step; a tensor `[N]` becomes a trained parameter.
        surrogate: derivative that stands in for the spike's.
        detach_reset: leave the reset out of the backward pass.

    Example:
        >>> import torch, seamount as sm
        >>> lif = sm.nn.CubaLIF(alpha=0.5, beta=0.9, vth=1.0)
        >>> lif(torch.ones(4, 1, 3))[:, 0, 0]
        tensor([0., 1., 1., 1.])
    """

    vth: Tensor
    reset_by: Tensor | None

    def __init__(
        self,
        alpha: float | Tensor,
        beta: float | Tensor,
        vth: float | Tensor = 1.0,
        *,
        reset: str = "subtract",
        reset_by: float | Tensor | None = None,
        bias: float | Tensor = 0.0,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
    ) -> None:
        super().__init__(alpha, beta, bias)
        if reset not in RESETS:
            raise SeamountError(f"{type(self).__name__}: reset {reset!r} is unknown. Allowed: {', '.join(RESETS)}.")
        if reset_by is not None and reset != "subtract":
            raise SeamountError(f"{type(self).__name__}: reset_by is given, but reset is {reset!r}.")
        vth = torch.as_tensor(vth, dtype=torch.float32)
        if not bool((vth > 0).all()):
            raise SeamountError(f"{type(self).__name__}: vth = {vth.tolist()} (allowed > 0).")
        self.register_buffer("vth", vth)
        self.register_buffer("reset_by", None if reset_by is None else torch.as_tensor(reset_by, dtype=torch.float32))
        self.reset = reset
        self.surrogate = FastSigmoid() if surrogate is None else surrogate
        self.detach_reset = detach_reset

    @property
    def removed(self) -> Tensor:
        """What a reset by subtraction takes away: `reset_by`, or vth; zero for reset `"none"`."""
        if self.reset == "none":
            return torch.zeros_like(self.vth)
        return self.vth if self.reset_by is None else self.reset_by

    def _threshold(self) -> tuple[Tensor, Tensor]:
        return self.vth, self.removed

    def _dynamics(self, keep_v: bool) -> Dynamics:
        return Dynamics(
            zero=self.reset == "zero", detach_reset=self.detach_reset, surrogate=self.surrogate, keep_v=keep_v
        )

    def extra_repr(self) -> str:
        return f"reset={self.reset}, surrogate={self.surrogate}, detach_reset={self.detach_reset}"


class LIF(CubaLIF):
    """Leaky integrate-and-fire: `v = beta v + x + bias;  s = v > vth`, then the reset. Arguments as in CubaLIF.

    Example:
        >>> import torch, seamount as sm
        >>> lif = sm.nn.LIF(beta=0.9, vth=1.0, reset="subtract")
        >>> lif(torch.full((4, 1, 3), 0.6))[:, 0, 0]
        tensor([0., 1., 0., 1.])
    """

    def __init__(self, beta: float | Tensor, vth: float | Tensor = 1.0, **options) -> None:
        super().__init__(0.0, beta, vth, **options)


class LI(Neuron):
    """Leaky integrator, a readout: `u = alpha u + x;  v = beta v + u + bias`; returns v.

    Args:
        beta, alpha: retention of v and u per step, number or tensor `[N]`.
        bias: added to v in each step; a tensor `[N]` becomes a trained parameter.
    """

    spiking = False

    def __init__(self, beta: float | Tensor, alpha: float | Tensor = 0.0, *, bias: float | Tensor = 0.0) -> None:
        super().__init__(alpha, beta, bias)


class Recurrent(nn.Module):
    """A population that also hears its own spikes of the last step: `s[t] = neuron(x[t] + connection(s[t-1]))`.

    Args:
        neuron: LIF or CubaLIF.
        connection: `nn.Linear(N, N, bias=False)`; its delay is one step.

    Example:
        >>> import torch, seamount as sm
        >>> population = sm.nn.Recurrent(sm.nn.LIF(beta=0.9), torch.nn.Linear(3, 3, bias=False))
        >>> population(torch.zeros(5, 2, 3)).shape
        torch.Size([5, 2, 3])
    """

    neuron: Neuron
    carrying = False
    carried: tuple[State | None, Tensor] | None = None

    def __init__(self, neuron: Neuron, connection: nn.Module) -> None:
        super().__init__()
        self.neuron, self.connection = neuron, connection

    def forward(self, x: Tensor) -> Tensor:
        """Synaptic input `[T, B, N]` -> spikes `[T, B, N]`, from a clean state."""
        state, s = self.carried or (None, torch.zeros_like(x[0]))
        spikes, v = [], []
        with held(self):
            for a in x:
                s, state = self.neuron.step(a + self.connection(s), state)
                spikes.append(s)
                v.append(state.v.detach())
        if self.carrying and state is not None:
            self.carried = State(*(x.detach() for x in state)), s.detach()
        out = torch.stack(spikes)
        if self.neuron.recording:
            self.neuron.recorded_spikes, self.neuron.recorded_v = out.detach(), torch.stack(v)
        return out


@contextmanager
def held(net: nn.Module) -> Iterator[None]:
    """Let quantized modules make their integers once for all steps inside the block instead of in each."""
    modules: list[Any] = [m for m in net.modules() if hasattr(m, "hold")]
    # connections before populations: a population reads the scale that its connections have just made
    modules.sort(key=lambda m: isinstance(m, Neuron))
    for module in modules:
        module.hold(True)
    try:
        yield
    finally:
        for module in modules:
            module.hold(False)


@contextmanager
def recording(net: nn.Module) -> Iterator[dict[str, Neuron]]:
    """Keep spikes and v of every population during the forward passes inside the block.

    Yields:
        The populations by the names that `sm.lower` gives them; after a forward pass each has `recorded_spikes` and
        `recorded_v`, `[T, B, N]`.
    """
    found = populations(net)
    for module in found.values():
        module.recording = True
    try:
        yield found
    finally:
        for module in found.values():
            module.recording = False


@contextmanager
def carrying(net: nn.Module) -> Iterator[None]:
    """Let the forward passes inside the block continue one another: each begins in the state in which the last ended.

    Chunks of a sequence, passed one after the other, give what the whole sequence gives; gradients stop at the seams
    (truncated backpropagation through time). Before and after the block, passes begin from a clean state.
    """
    modules: list[Any] = [m for m in net.modules() if hasattr(m, "carrying")]
    for module in modules:
        module.carrying = True
    try:
        yield
    finally:
        for module in modules:
            module.carrying, module.carried = False, None


def populations(net: nn.Module) -> dict[str, Neuron]:
    """The populations of a network by the names that `sm.lower` gives them.

    `net.get_submodule(name)` is the module that returns a population's spikes: itself, or the Recurrent around it.
    """
    return {
        name.removesuffix(".neuron") if isinstance(parent_of(net, name), Recurrent) else name: module
        for name, module in net.named_modules()
        if isinstance(module, Neuron) and not isinstance(parent_of(net, name), Neuron)
    }


def parent_of(net: nn.Module, name: str) -> nn.Module:
    """The module that holds the submodule of that dotted name."""
    return net.get_submodule(name.rpartition(".")[0])
