"""Backpropagation through time, in the form of a rule: what the others are compared with."""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch import Tensor, nn

from seamount.errors import TrainingError
from seamount.nn import carrying
from seamount_models.online import losses
from seamount_models.online.losses import Loss


class BPTT:
    """Keeps every step of a sample, and adds the gradient of their summed losses to `.grad` when the sample ends.

    Args:
        net: any network over `[T, B, ...]`.
        loss: of one step, as for Rule.

    Attributes:
        value: loss of the last sample, a scalar; 0 before its end.
    """

    name = "BPTT"

    def __init__(self, net: nn.Module, loss: str | Loss = "cross_entropy") -> None:
        self.net, self.loss = net, losses.find(loss)
        self.kept: list[tuple[Tensor, Tensor, float]] = []
        self.value = torch.zeros(())
        self._carrying = ExitStack()

    @torch.no_grad()
    def step(self, x: Tensor, target: Tensor, weight: float = 1.0) -> Tensor:
        """Run a step and keep it; arguments and what it returns as for Rule."""
        if not self.kept:
            self._carrying.enter_context(carrying(self.net))
        self.kept.append((x, target, weight))
        return self.net(x[None])[0]

    def end(self) -> None:
        """Run the sample again with its graph, and add the gradient."""
        if kept := self.kept:
            self.reset()
            self.sample(torch.stack([x for x, _, _ in kept]), [t for _, t, _ in kept], [w for _, _, w in kept])

    def sample(self, x: Tensor, targets: Tensor | list[Tensor], weights: list[float] | None = None) -> Tensor:
        """A whole sample at once; as Rule.sample."""
        output = self.net(x)
        weights = [1.0] * len(x) if weights is None else weights
        value = torch.stack([w * self.loss(o, t) for o, t, w in zip(output, targets, weights, strict=True)]).sum()
        if not bool(torch.isfinite(value)):
            raise TrainingError(f"{self.name}: the loss is {float(value)}. Hint: a smaller learning rate.")
        value.backward()
        self.value = value.detach()
        return output.detach()

    def reset(self) -> None:
        """Begin a sample."""
        self._carrying.close()
        self.kept = []
