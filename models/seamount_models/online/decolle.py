"""Deep continuous local learning."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seamount_models.online.factors import Vector
from seamount_models.online.feedback import Feedback, normal
from seamount_models.online.losses import Loss
from seamount_models.online.network import Network
from seamount_models.online.rule import Rule


class Readouts(Feedback):
    """Local errors: every hidden population has a fixed random readout, and the loss of that readout is its own.

    Args:
        loss: of a readout's output `[B, C]`, as of the network's.
        seed: of the readouts; their entries are normal with variance 1 / N.
    """

    direct = True

    def __init__(self, loss: Loss, seed: int = 0) -> None:
        self.loss = loss
        self.generator = torch.Generator().manual_seed(seed)
        self.weights: dict[str, Tensor] = {}

    def errors(
        self, network: Network, top: Tensor, posts: dict[str, Tensor | None], target: Tensor
    ) -> dict[str, Tensor]:
        found = {network.output.name: top}
        for layer in network.layers:
            if layer is not network.output:
                leaf = layer.last.out.detach().requires_grad_()
                with torch.enable_grad():
                    value = self.loss(leaf.flatten(1) @ self._readout(layer.name, leaf, top.shape[1]), target)
                (found[layer.name],) = torch.autograd.grad(value, leaf)
        return found

    def _readout(self, name: str, spikes: Tensor, classes: int) -> Tensor:
        if name not in self.weights:
            size = spikes[0].numel()
            self.weights[name] = normal((size, classes), self.generator, spikes) / size**0.5
        return self.weights[name]


class DECOLLE(Rule):
    """DECOLLE (DCLL): the trace of the source, the surrogate, and the error of the population's own random readout.

    No error passes from one population to another. O(n) memory.

    Args:
        net, loss: as for Rule; the last population learns by the loss of its own output. Neurons as for OTTT.
        seed: of the readouts.

    Source: Kaiser, Mostafa and Neftci 2020, "Synaptic plasticity dynamics for deep continuous local learning
    (DECOLLE)"; section on local errors of Neftci et al. 2019.
    """

    factor = Vector
    detach = True
    recurrent = True

    def __init__(self, net: nn.Module, loss: str | Loss = "cross_entropy", *, seed: int = 0) -> None:
        super().__init__(net, loss)
        self.feedback = Readouts(self.loss, seed)

    def back(self, error: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The errors of the readouts, each weighted as the output's is."""
        found, output = super().back(error, target), self.network.output.name
        return {name: e if name == output else e * self.weight for name, e in found.items()}
