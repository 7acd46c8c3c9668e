"""Real-time recurrent learning: exact, and for small networks only."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor, nn

from seamount.errors import TrainingError
from seamount_models.online.dynamics import Row
from seamount_models.online.losses import Loss
from seamount_models.online.network import Layer
from seamount_models.online.rule import Online
from seamount_models.online.synapse import Synapse

LARGEST = 1 << 26
"""Numbers in the influence of all parameters on one population, for a batch, from which a network is refused."""


class RTRL(Online):
    r"""RTRL: carries the derivative of every state by every parameter forward in time.

        M_a   = x + sum_connections W M_source            M_x = d x / d (all parameters),  x where the parameter acts
        M_out = (d s/d a) M_a + sum_j (d s/d y_j) M_j
        M_i   = (d y_i/d a) M_a + sum_j (d y_i/d y_j) M_j
        g[t]  = (d l/d s[t]) M_out

    Equal to backpropagation through time, at any neuron, reset, depth and recurrence. With n neurons and p parameters
    it takes O(n p) memory and O(n^2 p) time a step.

    Args:
        net: the network.
        loss: of one step, as for Rule.

    Source: Williams and Zipser 1989; Eq. 1 and 2 of the OTPE paper (arXiv:2311.16151).
    """

    def __init__(self, net: nn.Module, loss: str | Loss = "cross_entropy") -> None:
        super().__init__(net, loss, detach=False, partials=True)
        self.parts: dict[str, slice] = {}
        self.size = 0
        for layer in self.network.layers:
            for synapse in layer.synapses:
                biases = 0 if synapse.bias is None else len(synapse.weight())
                self._part(synapse.name, synapse.weight().numel() + biases)
            for i, constant in enumerate(layer.dynamics.trained):
                self._part(f"{layer.name} {i}", constant.numel())
        self.states: dict[str, list[Tensor | None]] = {}
        self.past: dict[str, deque[Tensor]] = {}
        self.reset()

    def _part(self, name: str, size: int) -> None:
        self.parts[name] = slice(self.size, self.size + size)
        self.size += size

    def learn(self, error: Tensor, target: Tensor) -> None:
        sent: dict[str, Tensor] = {}
        for layer in self.network.layers:
            sent[layer.name] = self._through(layer, self._input(layer, sent))
        for name, influence in self.past.items():
            influence.appendleft(sent[name])
        gradient = (error * sent[self.network.output.name]).flatten(1).sum(1)
        for synapse in self.network.synapses():
            synapse.add_flat(gradient[self.parts[synapse.name]])
        for layer in self.network.layers:
            if constants := layer.dynamics.trained:
                parts = [gradient[self.parts[f"{layer.name} {i}"]].reshape(c.shape) for i, c in enumerate(constants)]
                torch.autograd.backward(constants, parts)

    def _input(self, layer: Layer, sent: dict[str, Tensor]) -> Tensor:
        """Influence on the synaptic input, `[parameters, B, ...]`."""
        shape = layer.last.out.shape
        if self.size * shape.numel() > LARGEST:
            raise TrainingError(
                f"{self.name}: {layer.name}: {self.size} parameters times {shape.numel()} neurons and samples (allowed "
                f"{LARGEST}). Hint: a smaller network, or online.OTPE."
            )
        total = layer.last.out.new_zeros(self.size, *shape)
        for synapse in layer.synapses:
            if synapse.x is None:
                continue
            total[self.parts[synapse.name]] += _by_weights(synapse).reshape(-1, *shape)
            source = self._of_source(synapse, sent)
            if source is not None:
                total += synapse.carry(source.flatten(0, 1)).reshape(-1, *shape)
        return total

    def _of_source(self, synapse: Synapse, sent: dict[str, Tensor]) -> Tensor | None:
        if not synapse.delay:
            return sent.get(synapse.source)
        past = self.past.get(synapse.source, ())
        return past[synapse.delay - 1] if len(past) >= synapse.delay else None

    def _through(self, layer: Layer, by_input: Tensor) -> Tensor:
        """Influence on the states, kept, and on the spikes, returned, both `[parameters, B, ...]`."""
        old = self.states.get(layer.name, [None] * len(layer.last.state))

        def total(row: Row) -> Tensor:
            found = by_input * (0.0 if row[0] is None else row[0])
            for factor, influence in zip(row[1], old, strict=True):
                if factor is not None and influence is not None:
                    found += influence * factor
            for i, (factor, constant) in enumerate(zip(row[2], layer.dynamics.trained, strict=True)):
                if factor is not None:
                    found[self.parts[f"{layer.name} {i}"]] += _by_constant(constant, factor, by_input[0])
            return found

        out, *states = layer.last.partials
        found = total(out)
        self.states[layer.name] = [total(row) for row in states]
        return found

    def reset(self) -> None:
        super().reset()
        self.states = {}
        self.past = {name: deque(maxlen=spikes.maxlen) for name, spikes in self.network.past.items()}


def _by_weights(synapse: Synapse) -> Tensor:
    """What each weight, and then each bias, of a connection adds to its synaptic input: `[parameters, B, O, P]`."""
    x = synapse.patches().transpose(1, 3)[..., 0]  # [B, K, P]
    channels = len(synapse.weight())
    each = torch.einsum("oc,bkp->okbcp", torch.eye(channels, dtype=x.dtype, device=x.device), x)
    size = synapse.weight()[0].numel()
    return torch.cat([each[:, :size].flatten(0, 1), each[:, size:].flatten(0, 1)])


def _by_constant(constant: Tensor, factor: Tensor, like: Tensor) -> Tensor:
    """What each number of a constant, whose derivative is `factor`, does to its neurons: `[numbers, B, ...]`."""
    numbers = torch.arange(constant.numel(), device=constant.device)
    of = numbers.reshape(constant.shape).expand(like.shape[1:])
    return torch.stack([(of == k) * factor.expand_as(like) for k in numbers])
