"""What the rules that backpropagate an error within a step have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from seamount.errors import TrainingError, raise_all
from seamount_models.online import losses
from seamount_models.online.dynamics import Filter
from seamount_models.online.factors import Average, Eligibility, Local, Own, Vector
from seamount_models.online.feedback import Feedback, Symmetric
from seamount_models.online.losses import Loss
from seamount_models.online.network import Layer, Network


class Stepwise:
    """What runs a network step by step.

    Args:
        net: the network; its parameters get the gradients.
        detach, partials: as for Network.

    Attributes:
        value: loss of the sample so far, a scalar; 0 for a rule that has none.
    """

    def __init__(self, net: nn.Module, *, detach: bool = False, partials: bool = False) -> None:
        self.net = net
        self.value = torch.zeros(())
        self.network = Network(net, self.name, detach=detach, partials=partials)

    @property
    def name(self) -> str:
        return type(self).__name__

    def step(self, x: Tensor, target: Tensor, weight: float = 1.0) -> Tensor:
        raise NotImplementedError

    def sample(self, x: Tensor, targets: Tensor | Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
        """Whole samples, from a clean state; leaves the gradient of their summed losses in `.grad`.

        Args:
            x: input `[T, B, ...]`.
            targets: of each step, `[T, B, ...]`.
            weights: of each step's loss; default 1.

        Returns:
            What the steps returned, `[T, B, C]`.
        """
        self.reset()
        weights = [1.0] * len(x) if weights is None else weights
        outputs = [self.step(*step) for step in zip(x, targets, weights, strict=True)]
        self.end()
        return torch.stack(outputs)

    def end(self) -> None:
        """The sample is over: what a rule cannot know before is added to `.grad` now."""

    def reset(self) -> None:
        """Begin a sample: clean states and traces."""
        self.network.reset()
        self.value = torch.zeros(())


class Online(Stepwise):
    """A rule with a loss: runs the step, asks for its loss, and lets `learn` do the rest.

    Args:
        net, detach, partials: as for Stepwise.
        loss: of one step, a name of `online.losses` or a function `(output [B, C], target) -> scalar`.

    Attributes:
        weight: of the last step's loss.
    """

    def __init__(self, net: nn.Module, loss: str | Loss, *, detach: bool, partials: bool) -> None:
        super().__init__(net, detach=detach, partials=partials)
        self.loss = losses.find(loss)
        self.weight = 1.0

    @torch.no_grad()
    def step(self, x: Tensor, target: Tensor, weight: float = 1.0) -> Tensor:
        """One step: run it, and add its gradient to the parameters' `.grad`.

        Args:
            x: input of this step, `[B, ...]`.
            target: what the loss takes, as int64 labels `[B]`.
            weight: of this step's loss.

        Returns:
            The output population's spikes, or v of a readout, `[B, C]`.

        Raises:
            TrainingError: a loss that is not a number; names the step and the layer.
            DataError: another number of samples than in the step before.
        """
        output = self.network.step(x)
        self.weight = weight
        self.learn(self.top_error(output, target, weight), target)
        return output

    def learn(self, error: Tensor, target: Tensor) -> None:
        """Add the gradient of the step that the network has just made; `error [B, C]` is the loss's by the output."""
        raise NotImplementedError

    def top_error(self, output: Tensor, target: Tensor, weight: float) -> Tensor:
        """Gradient of this step's loss by the output, `[B, C]`."""
        with torch.enable_grad():
            leaf = output.detach().requires_grad_()
            value = self.loss(leaf, target) * weight
            (error,) = torch.autograd.grad(value, leaf)
        self.count(value.detach())
        return error

    def count(self, value: Tensor) -> None:
        """Add the loss of this step, if it is a number."""
        if not bool(torch.isfinite(value)):
            raise TrainingError(
                f"{self.name}: the loss is {float(value)} at step {self.network.t - 1}, first in "
                f"{self.network.first_not_finite()}. Hint: a smaller learning rate."
            )
        self.value = self.value + value


class Rule(Online):
    """A rule of local factors: what each weight has done, and the error that arrives at its population.

    Args:
        net, loss: as for Online.
        feedback: the way of the error from a population to those before it; default the transposed weights.

    Raises:
        TrainingError: a network that the rule cannot train, with every reason and by name.
    """

    factor: ClassVar[type[Vector] | type[Eligibility]]
    detach: ClassVar[bool] = False
    recurrent: ClassVar[bool] = False
    """Whether connections may be delayed: what comes by them has a trace like any other, and no error goes back."""

    def __init__(self, net: nn.Module, loss: str | Loss = "cross_entropy", *, feedback: Feedback | None = None) -> None:
        super().__init__(net, loss, detach=self.detach, partials=self.factor.partials)
        self.feedback = Symmetric() if feedback is None else feedback
        self._check()
        self._form()
        self.errors: dict[str, Tensor] = {}

    def _form(self) -> None:
        """Make the factors, with the responses that the populations have now."""
        after = {layer.name: self.after(layer) for layer in self.network.layers}
        self.factors = {
            s.name: self.factor(layer, s, after[layer.name]) for layer in self.network.layers for s in layer.synapses
        }
        self.own = {layer.name: Own(layer, after[layer.name]) for layer in self.network.layers}
        self.posts = {layer.name: Average(layer, after[layer.name]) for layer in self.network.layers}

    def after(self, layer: Layer) -> Filter | None:
        """The response with which the rule follows a population's spikes on; None where it does not."""
        return None

    def learn(self, error: Tensor, target: Tensor) -> None:
        for post in self.posts.values():
            post.update()
        self.errors = self.back(error, target)
        for layer in self.network.layers:
            for synapse in layer.synapses:
                self.factors[synapse.name].learn(self.errors[layer.name], self.posts[layer.name].value)
            self.own[layer.name].learn(self.errors[layer.name])

    def back(self, error: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The error of every population."""
        posts = {name: post.value for name, post in self.posts.items()}
        return self.feedback.errors(self.network, error, posts, target)

    def reset(self) -> None:
        super().reset()
        if any(layer.dynamics.trained for layer in self.network.layers):
            self._form()  # retentions may have moved, and with them what the traces are of
        for factor in (*self.factors.values(), *self.own.values(), *self.posts.values()):
            factor.reset()

    def local(self, population: str) -> dict[str, Local]:
        """The local factors of the last step, by connection of a population."""
        layer = self.network.by_name[population]
        post, error = self.posts[population].value, self.errors[population]
        found = {s.name: self.factors[s.name] for s in layer.synapses}
        return {name: Local(f.pre, f.eligibility, post, error) for name, f in found.items()}

    def _check(self) -> None:
        found = []
        for synapse in self.network.synapses():
            if synapse.delay and not self.recurrent:
                found.append(
                    f"{self.name}: {synapse.name} is recurrent or delayed (allowed: feed-forward). Hint: online.OTTT."
                )
        for layer in self.network.layers:
            if layer is not self.network.output and not self.network.readers(layer):
                found.append(f"{self.name}: {layer.name} is read by no population within the step.")
        raise_all(TrainingError, found)
