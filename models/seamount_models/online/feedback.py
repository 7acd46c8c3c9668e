r"""The way of the error: from the loss to the spikes of every population, within the step.

With post the factor of a population (f(z), or what a rule puts in its place) and e its error:

    Symmetric   e_l = sum over readers r of  W_r^T (e_r post_r)             backpropagation within the step
    Random      the same with a fixed random matrix in the place of W_r     Lillicrap et al. 2016
    Direct      e_l = B_l e_output, B_l fixed and random                    Nokland 2016
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seamount_models.online.network import Layer, Network
from seamount_models.online.synapse import Synapse


class Feedback:
    """Base class.

    Attributes:
        direct: whether every population gets its error without those between it and the output.
    """

    direct = False

    def errors(
        self, network: Network, top: Tensor, posts: dict[str, Tensor | None], target: Tensor
    ) -> dict[str, Tensor]:
        """The error of every population.

        Args:
            network: after its step.
            top: gradient of the loss by the output, `[B, C]`.
            posts: by population, `[B, ...]`; None is 1.
            target: what the loss took.

        Returns:
            By population, `[B, ...]`: gradient of the loss by its spikes, as this way of the error has it.
        """
        raise NotImplementedError


class Symmetric(Feedback):
    """Backpropagation through the weights, within the step."""

    def errors(self, network, top, posts, target):
        found = {network.output.name: top}
        for layer in reversed(network.layers):
            post, error = posts[layer.name], found[layer.name]
            g = error if post is None else error * post
            for synapse in layer.synapses:
                if synapse.source in network.by_name and not synapse.delay:
                    part = self.back(synapse, g).reshape(network.by_name[synapse.source].last.out.shape)
                    found[synapse.source] = found[synapse.source] + part if synapse.source in found else part
        return found

    def back(self, synapse: Synapse, g: Tensor) -> Tensor:
        return synapse.back(g)


class Random(Symmetric):
    """Feedback alignment: fixed random weights on the way back, as large as the weights were at first.

    Args:
        seed: of the random weights.

    Source: Lillicrap et al. 2016, "Random synaptic feedback weights support error backpropagation for deep learning".
    """

    def __init__(self, seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.weights: dict[str, Tensor] = {}

    def back(self, synapse: Synapse, g: Tensor) -> Tensor:
        if synapse.name not in self.weights:
            weight = synapse.weight().detach()
            self.weights[synapse.name] = normal(weight.shape, self.generator, weight) * weight.std()
        return synapse.back(g, self.weights[synapse.name])


class Direct(Feedback):
    """Direct feedback alignment: the output's error through a fixed random matrix for each population.

    Args:
        seed: of the matrices; their entries are normal with variance 1 / C.

    Source: Nokland 2016, "Direct feedback alignment provides learning in deep neural networks".
    """

    direct = True

    def __init__(self, seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.weights: dict[str, Tensor] = {}

    def errors(self, network, top, posts, target):
        found = {layer.name: self.project(layer, top) for layer in network.layers if layer is not network.output}
        return {**found, network.output.name: top}

    def project(self, layer: Layer, top: Tensor) -> Tensor:
        shape = layer.last.out.shape[1:]
        if layer.name not in self.weights:
            classes = top.shape[1]
            self.weights[layer.name] = normal((classes, shape.numel()), self.generator, top) / classes**0.5
        return (top @ self.weights[layer.name]).reshape(-1, *shape)


def normal(shape: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    """Normal numbers, drawn on the CPU so that they are the same everywhere."""
    return torch.randn(*shape, generator=generator).to(like)
