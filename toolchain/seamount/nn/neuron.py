"""What the torch modules of all neuron models share, and recurrence; `lif.py` and its neighbours hold the models.

Every module maps synaptic input `[T, B, N]` to spikes `[T, B, N]` from a clean state (`forward`), or one step of it
with the state given and returned (`step`). The sequence is equal to the loop of its steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from seamount.errors import GraphError, SeamountError
from seamount.ir import Population as Node
from seamount.nn.memory import apply
from seamount.nn.sequence import Chip, Population
from seamount.nn.spec import Loop, Spec
from seamount.nn.surrogate import FastSigmoid, Surrogate

State = tuple[Tensor, ...]
"""State variables in the order of the node's STATE, float `[B, ...]`; in a quantized population in the chip's units."""


class Neuron(nn.Module):
    """A population of any kind: `node_type` gives its equations, `fields` its parameters.

    Args:
        surrogate: derivative that stands in for the spike's; default FastSigmoid(25).
        detach_reset: leave what a spike does to the state out of the backward pass.
        learn: names of parameters that train beside those given as `nn.Parameter`: `("beta", "vth")`. One number is
            one parameter for the layer, a tensor one for each neuron. What has a range (the node's RANGES) stays in it.
        fields: the node's parameters: numbers or tensors (`nn.Parameter` trains), and names such as `reset`.

    Attributes:
        bound: largest magnitude of what its integer form sends.
        recording: where True, `spikes` and `v` (after the reset) of the last forward pass are kept.
        carrying: where set, a forward pass begins where the last one ended; `carried` is what it makes of that state.
    """

    node_type: ClassVar[type[Node]]

    recording = False
    recorded_spikes: Tensor | None = None
    recorded_v: Tensor | None = None
    carrying: Callable[[Tensor], Tensor] | None = None
    carried: State | None = None

    def __init__(
        self,
        *,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        learn: Sequence[str] = (),
        **fields: Any,
    ) -> None:
        super().__init__()
        learn = (learn,) if isinstance(learn, str) else learn
        allowed = [k for k, value in fields.items() if k in self.node_type.ARRAYS and value is not None]
        if unknown := sorted(set(learn) - set(allowed)):
            raise SeamountError(f"{type(self).__name__}: learn = {', '.join(unknown)} (allowed: {', '.join(allowed)}).")
        self.surrogate = FastSigmoid() if surrogate is None else surrogate
        self.detach_reset = detach_reset
        for name, value in fields.items():
            if name in learn and not isinstance(value, nn.Parameter):
                setattr(self, name, nn.Parameter(torch.as_tensor(value, dtype=torch.float32).detach().clone()))
            elif name in self.node_type.ARRAYS and value is not None and not isinstance(value, nn.Parameter):
                self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32))
            else:
                setattr(self, name, value)
        self._names = tuple(fields)
        try:
            node = self.node("", (), (1,) if max((self._size(n) for n in fields), default=0) < 2 else self._shape())
        except GraphError as error:
            raise SeamountError(f"{type(self).__name__}{error}") from None
        self.bound = node.bound

    @property
    def spiking(self) -> bool:
        return self.node_type.spiking

    def fields(self) -> dict[str, Any]:
        """The node's parameters by name, as tensors (within their ranges) and names."""
        ranges = self.node_type.RANGES
        values = {name: getattr(self, name) for name in self._names}
        return {
            name: _Within.apply(value, *ranges[name]) if isinstance(value, nn.Parameter) and name in ranges else value
            for name, value in values.items()
        }

    def node(self, name: str, inputs: Sequence[str], shape: tuple[int, ...], **changed: Any) -> Node:
        """The float node of this population; `changed` takes the place of its own parameters."""
        values = {
            k: v.detach().double().cpu().numpy() if isinstance(v, Tensor) else v for k, v in self.fields().items()
        }
        return self.node_type(name=name, inputs=tuple(inputs), shape=shape, **{**values, **changed})

    def initial_state(self, a: Tensor) -> State:
        """A clean state for one step of synaptic input `a [B, ...]`."""
        return tuple(torch.zeros_like(a) for _ in self.node_type.STATE)

    def step(self, a: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One step.

        Args:
            a: synaptic input, float `[B, ...]`.
            state: of the last step; None for a clean one.

        Returns:
            Spikes (or v of a readout) `[B, ...]` and the new state.
        """
        out, _, state = self._run(a[None], state or self.initial_state(a), False, None)
        return out[0], state

    def forward(self, a: Tensor, loop: Loop | None = None) -> Tensor:
        """Synaptic input `[T, B, ...]` -> spikes (or v of a readout) `[T, B, ...]`, from a clean state.

        `loop` is what `Recurrent` lets the population hear of itself.
        """
        if a.ndim < 3:
            raise SeamountError(
                f"{type(self).__name__}: input has shape {list(a.shape)} (allowed [T, B, ...]). "
                "Hint: for one step use .step(x, state); for one sample add a batch dimension."
            )
        out, v, state = self._run(a, self.carried or self.initial_state(a[0]), self.recording, loop)
        if self.carrying:
            self.carried = tuple(self.carrying(x) for x in state)
        if self.recording:
            self.recorded_spikes, self.recorded_v = out.detach(), v
        return out

    def v(self, state: State) -> Tensor:
        """v of a state."""
        return state[self.node_type.STATE.index("v")]

    def constants(self, **changed: Any) -> list[Any]:
        """What the float step takes after the state: tensors, and plain numbers where 0 or 1 is fixed.

        Args:
            changed: parameters that take the place of the population's own.
        """
        fields = SimpleNamespace(**{**self.fields(), **changed})
        if "reset_by" in self._names and fields.reset_by is None:
            fields.reset_by = fields.vth
        return [_fixed(value) for value in self.node_type.constants(fields)]  # type: ignore[arg-type]

    def _run(self, a: Tensor, state: State, keep_v: bool, loop: Loop | None) -> tuple[Tensor, Tensor, State]:
        return self._apply_step(a, state, keep_v, loop, self.constants(), None)

    def _apply_step(
        self, a: Tensor, state: State, keep_v: bool, loop: Loop | None, constants: list[Any], chip: Chip | None
    ) -> tuple[Tensor, Tensor, State]:
        tensors = [c for c in constants if isinstance(c, Tensor)]
        node = self.node_type
        spec = Spec(
            step=node.step,
            chip_step=None if chip is None else self._chip_step(),
            chip_constants=0 if chip is None else len(chip.constants),
            states=len(node.STATE),
            constants=tuple(None if isinstance(c, Tensor) else c for c in constants),
            surrogate=self.surrogate if node.spiking else None,
            detach=self.detach_reset,
            wanted=tuple(k for k, c in enumerate(constants) if isinstance(c, Tensor) and c.requires_grad),
            recurrent=loop is not None,
        )
        keep = node.STATE.index("v") if keep_v else None
        weight = None if loop is None else loop.weight
        out, v, *state = apply(Population, spec, chip, loop, keep, a, weight, *state, *tensors)  # type: ignore[misc]
        return out, v, tuple(state)

    def _chip_step(self) -> Any:
        raise NotImplementedError

    def _size(self, name: str) -> int:
        value = getattr(self, name, None)
        return value.numel() if isinstance(value, Tensor) else 0

    def _shape(self) -> tuple[int, ...]:
        return max((tuple(v.shape) for v in self.fields().values() if isinstance(v, Tensor)), key=lambda s: np.prod(s))

    def extra_repr(self) -> str:
        shown = [f"{k}={v:.4g}" if isinstance(v, Tensor) and v.ndim == 0 else f"{k}={v}"
                 for k, v in self.fields().items() if v is not None and self._size(k) < 2]  # fmt: skip
        return ", ".join([*shown, *([f"surrogate={self.surrogate}"] if self.spiking else [])])


class _Within(torch.autograd.Function):
    """`clamp(x, low, high)`; outside, only gradients that descend back into the range pass."""

    @staticmethod
    def forward(ctx, x: Tensor, low: float, high: float) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        ctx.range = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx, g: Tensor):  # type: ignore[override]
        (x,), (low, high) = ctx.saved_tensors, ctx.range
        return g.masked_fill((x <= low) & (g > 0) | (x >= high) & (g < 0), 0), None, None


def _fixed(value: Any) -> Any:
    """0 and 1 that neither train nor differ between neurons as plain numbers, which the kernels leave out."""
    if isinstance(value, Tensor) and value.ndim == 0 and not value.requires_grad and value.device.type == "cpu":
        number = value.item()
        return number if number in (0.0, 1.0) else value
    return float(value) if isinstance(value, (int, float)) else value


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
    carrying: Callable[[Tensor], Tensor] | None = None
    carried: Tensor | None = None

    def __init__(self, neuron: Neuron, connection: nn.Module) -> None:
        super().__init__()
        self.neuron, self.connection = neuron, connection

    def forward(self, x: Tensor) -> Tensor:
        """Synaptic input `[T, B, N]` -> spikes `[T, B, N]`, from a clean state."""
        s = torch.zeros_like(x[0]) if self.carried is None else self.carried
        weight = _matrix(self.connection)
        if weight is None or not self.neuron.spiking or self.neuron.node_type.kind == "graded":
            out = self._by_step(x, s)
        else:
            number = torch.promote_types(x.dtype, weight.dtype)
            out = self.neuron(x.to(number), Loop(weight.to(number), s.to(number)))
        if self.carrying:
            self.carried = self.carrying(out[-1])
        return out

    def _by_step(self, x: Tensor, s: Tensor) -> Tensor:
        """Step by step, for a connection that is not one product."""
        neuron, state = self.neuron, self.neuron.carried
        spikes, v = [], []
        with held(self):
            for a in x:
                s, state = neuron.step(a + self.connection(s), state)
                spikes.append(s)
                v.append(neuron.v(state).detach())
        if self.carrying and state is not None:
            neuron.carried = tuple(self.carrying(y) for y in state)
        out = torch.stack(spikes)
        if neuron.recording:
            neuron.recorded_spikes, neuron.recorded_v = out.detach(), torch.stack(v)
        return out


def _matrix(connection: nn.Module) -> Tensor | None:
    """The weight `[N, N]` of a connection that is the product with it, and nothing else."""
    if not isinstance(connection, nn.Linear) or connection.bias is not None:
        return None
    made: Callable[[], Tensor] | None = getattr(connection, "effective_weight", None)
    return connection.weight if made is None else made()


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
        module.carrying = Tensor.detach
    try:
        yield
    finally:
        for module in modules:
            module.carrying, module.carried = None, None


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
