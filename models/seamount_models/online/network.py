"""A network, step by step: populations in order, each with its connections and its state."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from seamount.errors import DataError, TrainingError, raise_all
from seamount.nn.connection import NORMS, POOLS
from seamount.nn.neuron import Neuron, State
from seamount.topology import INPUT, Cell, Wire, trace
from seamount_models.online.dynamics import Dynamics, Step
from seamount_models.online.synapse import Synapse


@dataclass(eq=False)
class Layer:
    """A population and what it sums.

    Attributes:
        name: that `sm.lower` gives the population.
        neuron: its module.
        dynamics: its step and the step's derivatives.
        synapses: its connections.
        state: of the last step; None at the beginning of a sample.
        last: what the last step gave.
    """

    name: str
    neuron: Neuron
    dynamics: Dynamics
    synapses: list[Synapse]
    state: State | None = None
    last: Step = field(init=False)

    def step(self, a: Tensor) -> Tensor:
        """Synaptic input `[B, ...]` -> spikes, or v of a readout, `[B, ...]`."""
        self.last = self.dynamics.step(a, self.state or self.neuron.initial_state(a))
        self.state = self.last.state
        return self.last.out

    def flat(self, values: Tensor) -> Tensor:
        """`[B, ...]` as `[B, O, P]`: channels and positions; numbers stay numbers."""
        if not values.ndim:
            return values
        values = values.expand(self.last.out.shape) if values.shape != self.last.out.shape else values
        return values.reshape(*values.shape[:2], -1)


class Network:
    """The populations of a network and the spikes that are under way.

    Args:
        net: made of what `sm.lower` takes: connections, pools and neurons of `sm.nn`, Recurrent, Delayed.
        rule: name of the rule, for messages.
        detach: leave what spikes do to the state out of every derivative.
        partials: whether the rule needs the neurons' partial derivatives.

    Raises:
        TrainingError: with everything that no rule here can train.
        LoweringError: a network that is not populations and connections.
    """

    def __init__(self, net: nn.Module, rule: str, *, detach: bool, partials: bool) -> None:
        self.rule, self.t = rule, 0
        topology = trace(net)
        raise_all(TrainingError, [f"{rule}: {problem}" for cell in topology.cells for problem in _problems(net, cell)])
        self.layers: list[Layer] = []
        for cell in topology.cells:
            neuron = net.get_submodule(cell.module)
            assert isinstance(neuron, Neuron)
            dynamics = Dynamics(neuron, detach=detach, partials=partials)
            self.layers.append(Layer(cell.name, neuron, dynamics, [Synapse(net, wire) for wire in cell.wires]))
        self.by_name = {layer.name: layer for layer in self.layers}
        self.output = self.by_name[topology.output]
        longest = {s.source: 0 for layer in self.layers for s in layer.synapses}
        for synapse in self.synapses():
            longest[synapse.source] = max(longest[synapse.source], synapse.delay)
        self.past: dict[str, deque[Tensor]] = {name: deque(maxlen=n) for name, n in longest.items() if n}

    def synapses(self) -> list[Synapse]:
        return [s for layer in self.layers for s in layer.synapses]

    def readers(self, layer: Layer) -> list[tuple[Layer, Synapse]]:
        """The connections that read a population's spikes within the step."""
        return [(other, s) for other in self.layers for s in other.synapses if s.source == layer.name and not s.delay]

    def step(self, x: Tensor) -> Tensor:
        """One step: spikes `[B, ...]` -> the output population's spikes or v, `[B, ...]`."""
        if self.t and self.layers[0].last.out.shape[0] != x.shape[0]:
            raise DataError(
                f"{self.rule}: step {self.t} has {x.shape[0]} samples, the one before "
                f"{self.layers[0].last.out.shape[0]}. Hint: rule.reset() between samples."
            )
        sent = {INPUT: x}
        for layer in self.layers:
            parts = [s.forward(sent[s.source]) for s in layer.synapses if not s.delay]
            a = torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
            for s in layer.synapses:
                if s.delay:
                    a = self._add_delayed(a, s, a if s.source == layer.name else sent.get(s.source))
            sent[layer.name] = layer.step(a)
        for name, spikes in self.past.items():
            spikes.appendleft(sent[name])
        self.t += 1
        return sent[self.output.name]

    def _add_delayed(self, a: Tensor, synapse: Synapse, like: Tensor | None) -> Tensor:
        """Add what arrives now; before anything does, zeros, or nothing where not even their number is known."""
        past = self.past[synapse.source]
        if len(past) >= synapse.delay:
            return a + synapse.forward(past[synapse.delay - 1])
        synapse.x = None
        return a if like is None else a + synapse.forward(torch.zeros_like(like))

    def reset(self) -> None:
        """Begin a sample: clean states, nothing under way, parameters read again."""
        self.t = 0
        for layer in self.layers:
            layer.state = None
            layer.dynamics.refresh()
        for spikes in self.past.values():
            spikes.clear()

    def first_not_finite(self) -> str:
        """Name of the first connection or population that holds a value that is not a number."""
        for layer in self.layers:
            for synapse in layer.synapses:
                if not bool(torch.isfinite(synapse.weight()).all()):
                    return synapse.name
            if not all(bool(torch.isfinite(x).all()) for x in (layer.last.out, *layer.last.state)):
                return layer.name
        return "the loss itself"


def _problems(net: nn.Module, cell: Cell) -> list[str]:
    """What no rule can train, of a population and its connections."""
    neuron = net.get_submodule(cell.module)
    found = []
    if not isinstance(neuron, Neuron) or hasattr(neuron, "hold"):
        found.append(f"{cell.name}: is quantized. Hint: train the float network, or fit() the quantized one.")
    if all(wire.delay for wire in cell.wires):
        found.append(
            f"{cell.wires[0].name}: delays all that {cell.name} reads, so that no error comes back through it."
        )
    return found + [problem for wire in cell.wires for problem in _wire_problems(net, wire)]


def _wire_problems(net: nn.Module, wire: Wire) -> list[str]:
    module = net.get_submodule(wire.module)
    if wire.part is not None:
        return [f"{wire.module}: reads concatenated populations. Hint: a connection for each, added."]
    if isinstance(module, POOLS):
        return [f"{wire.name}: a pool with no weight between two populations."]
    if norms := [name for name in wire.after if isinstance(net.get_submodule(name), NORMS)]:
        return [
            f"{norms[0]}: {type(net.get_submodule(norms[0])).__name__} has statistics over time, which no step knows. "
            "Hint: sm.nn.WSConv2d."
        ]
    if not isinstance(module, (nn.Linear, nn.Conv2d)) or hasattr(module, "hold"):
        return [f"{wire.name}: {type(module).__name__} (allowed: linear layers and Conv2d, also standardised)."]
    if getattr(module, "padding_mode", "zeros") != "zeros":
        return [f"{wire.name}: pads with {module.padding_mode} (allowed: zeros)."]
    if isinstance(getattr(module, "padding", None), str):
        return [f"{wire.name}: padding {module.padding!r} (allowed: a number)."]
    return []
