"""One training step by an online rule: a batch in, step by step, gradients out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seamount.errors import DataError, TrainingError
from seamount.nn import populations
from seamount_models import losses, online
from seamount_models.losses import Loss
from seamount_models.named import chosen
from seamount_models.online.rule import Online
from seamount_models.splits import UNLABELLED
from seamount_models.training.distributed import Processes
from seamount_models.training.evaluation import correct, weight_of
from seamount_models.training.step import own_labels

Maker = Callable[[nn.Module, Loss], Online]
"""What makes a rule for a network, of the loss of one step `(output [B, C], labels [B])`."""

RULES: dict[str, Callable[..., Online]] = {
    name: kind
    for name in online.__all__
    if isinstance(kind := getattr(online, name), type)
    and issubclass(kind, Online)
    and "loss" in inspect.signature(kind).parameters
}
"""Rules that learn from labels, by name."""

FEEDBACKS: dict[str, type[online.Feedback]] = {
    name: getattr(online, name) for name in ("Symmetric", "Random", "Direct")
}
"""Ways of the error, by name."""


def find(rule: str | Mapping[str, Any] | Maker) -> Maker:
    """Return what makes a rule of a network and of the loss of a step.

    Args:
        rule: its name; a mapping with its `name` and its settings, as a recipe writes them, `feedback` by its name; or
            the class or function itself.

    Raises:
        DataError: an unknown name, or a setting that the rule does not have.

    Example:
        >>> find({"name": "EProp", "feedback": "Direct"}).func.__name__
        'EProp'
    """
    if callable(rule):
        return rule
    name, settings = chosen("rule", rule, RULES, positional=2)
    if (feedback := settings.get("feedback", "Symmetric")) not in FEEDBACKS:
        raise DataError(f"rule {name}: feedback {feedback!r} is unknown. Allowed: {', '.join(FEEDBACKS)}.")

    def make(net: nn.Module, loss: Loss, **options: Any) -> Online:
        given = {"feedback": FEEDBACKS[options.pop("feedback")]()} if "feedback" in options else {}
        return RULES[name](net, loss, **given, **options)

    make.__name__ = name
    return partial(make, **settings)


def build(make: Maker, net: nn.Module, loss: Loss) -> Online:
    """Make a rule for a network.

    Args:
        make: as `find` returns it.
        net: the network.
        loss: objective of whole samples, as in `fit`; one that is a mean over steps.

    Raises:
        DataError: the objective is no mean over steps, or the network has what a rule does not draw.
        TrainingError: the rule cannot train the network; or it is none that `fit` can train with.
    """
    if getattr(loss, "func", loss) in set(losses.DECODERS) - losses.OF_STEPS:
        allowed = ", ".join(sorted(function.__name__ for function in losses.OF_STEPS))
        raise DataError(
            f"fit: loss {losses.describe(loss)} is of a whole sample, and a rule knows one step. Allowed: {allowed}."
        )
    if lossy := [name for name, module in net.named_modules() if isinstance(module, nn.Dropout) and module.p]:
        raise DataError(f"fit: {lossy[0]}: a rule leaves out what dropout does. Hint: dropout = 0.")
    rule = make(net, lambda output, labels: loss(output[None], labels[None]))
    if not isinstance(rule, Online):
        raise TrainingError(f"fit: {type(rule).__name__} is no rule with a loss. Allowed: {', '.join(RULES)}.")
    return rule


def drawn(rule: Online) -> dict[str, Tensor]:
    """The random weights of the error's way, which the rule draws as it needs them."""
    return getattr(getattr(rule, "feedback", None), "weights", {})


@dataclass(frozen=True)
class OnlineStep:
    """What a step does with a batch, by a rule.

    The objective L of the batch is the mean over its samples and (labelled) steps; each step of time adds its part of
    it, whose gradient is complete at once: with l the mean over the n_t labels of step t, `L = sum_t n_t / n l_t`.
    OTTT 2022, Eq. 5, where every step is labelled: 1 / T.

    Args:
        rule: of the network.
        decode: reads an answer off the output, where there is one label a sample.
        between: optimizer that takes the gradient of every step but the last, which is left to the caller; None where
            the gradients of all steps are summed.
        clip, processes: as in `fit`.
    """

    rule: Online
    decode: Callable[[Tensor], Tensor]
    between: torch.optim.Optimizer | None
    clip: float | None
    processes: Processes

    def gradients(self, x: Tensor, labels: Tensor, watch: bool = False) -> tuple[Tensor, int, dict[str, Tensor]]:
        """Leave the gradient in the parameters that the optimizer is to take next; as `Step.gradients`.

        Raises:
            TrainingError: a loss that is not a number, with the step of time and the layer.
        """
        parameter = next(self.rule.net.parameters())
        mine = own_labels(x, labels, self.processes).to(parameter.device)
        steps = len(x)
        whole = weight_of(labels) * (steps if labels.ndim == 1 else 1)
        targets = mine.expand(steps, -1) if mine.ndim == 1 else mine
        if not x.shape[1]:  # a stand-in that counts for nothing: this process has its part in every sum
            x, targets = x.new_zeros(steps, 1, *x.shape[2:]), mine.new_full((steps, 1), UNLABELLED)
        weights = ((targets != UNLABELLED).sum(1) / max(whole, 1)).tolist()
        fired: dict[str, Tensor] = {}
        self.rule.net.zero_grad()
        self.rule.reset()
        outputs = []
        for t in range(steps):
            if t and self.between is not None:
                self._complete()
                self.between.step()
                self.rule.net.zero_grad()
            outputs.append(self.rule.step(x[t].to(parameter.device, parameter.dtype), targets[t], weights[t]))
            if watch:
                self._watch(fired, steps)
        self.rule.end()
        (value,) = self._complete(self.rule.value)
        right = correct(torch.stack(outputs), mine, self.decode) if mine.shape[-1] else 0
        return value, right, fired

    def _complete(self, *also: Tensor) -> list[Tensor]:
        """Make the gradient that of the whole batch, and clip it; return sums of scalars over all processes."""
        parameters = list(self.rule.net.parameters())
        sums = self.processes.sum_gradients(parameters, *also)
        if self.clip is not None:
            nn.utils.clip_grad_norm_(parameters, self.clip)
        return sums

    def _watch(self, fired: dict[str, Tensor], steps: int) -> None:
        names = {id(module): name for name, module in populations(self.rule.net).items() if module.spiking}
        for layer in self.rule.network.layers:
            if name := names.get(id(layer.neuron)):
                share = (layer.last.out != 0).float().mean(0) / steps
                fired[name] = fired[name] + share if name in fired else share
