"""Measuring a network on a split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seamount.errors import DataError
from seamount.nn import recording
from seamount_models import losses
from seamount_models.decoding import decode_count, decode_steps
from seamount_models.losses import Loss
from seamount_models.splits import UNLABELLED, Split
from seamount_models.training.activity import spiking
from seamount_models.training.distributed import ALONE, Processes


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        accuracy: share of samples whose class is right, 0..1; of labelled steps where there is a label a step.
        rates: population -> spikes per neuron and step, mean over the split.
        loss: mean of the objective, where one was given.
    """

    accuracy: float
    rates: dict[str, float]
    loss: float | None = None


@torch.no_grad()
def evaluate(
    net: nn.Module,
    split: Split,
    *,
    seed: int | None = None,
    batch_size: int = 500,
    loss: str | Mapping[str, Any] | Loss | None = None,
    processes: Processes = ALONE,
) -> Evaluation:
    """Measure a network on a split, in batches; the network is left in the mode it was in.

    Args:
        net: module from spikes float `[T, B, ...]` to `[T, B, classes]`.
        split: samples.
        seed: of the coding; default the split's.
        batch_size: samples at a time; the result does not depend on it.
        loss: objective as in `fit`, to be measured too; an answer is then read off the output in its terms, as the
            first spike for losses of spike times. Default: the class that fired most (or whose mean v is largest).
        processes: that share the work; each gets the result of all.

    Raises:
        DataError: the split is empty or has no labels, or the output is not `[T, B, classes]`.
    """
    if not len(split):
        raise DataError(f"{split.name}: is empty, so it has no accuracy.")
    objective = None if loss is None else losses.find(loss)
    decode = decode_count if objective is None else losses.decoder(objective)
    parameter, training = next(net.parameters()), net.training
    right, labelled, total, samples, spikes_seen = 0, 0, 0.0, 0, {}
    net.eval()
    try:
        with recording(net) as populations:
            for x, labels in split.batches(batch_size, seed=seed, share=processes.share):
                labels = labels[..., processes.share]
                if not labels.shape[-1]:
                    continue
                output = net(x.to(parameter.device, parameter.dtype)).cpu()
                right += correct(output, labels, decode)
                weight, batch = weight_of(labels), labels.shape[-1]
                labelled, samples = labelled + weight, samples + batch
                if objective is not None and weight:
                    total += objective(output, labels).item() * weight
                for name, population in populations.items():
                    if population.spiking and population.recorded_spikes is not None:
                        s = population.recorded_spikes
                        spikes_seen[name] = spikes_seen.get(name, 0.0) + (s != 0).float().mean().item() * batch
    finally:
        net.train(training)
    right, labelled, total, samples, *seen = processes.sum_numbers(
        right, labelled, total, samples, *(spikes_seen.get(name, 0.0) for name in spiking(net))
    )
    if not labelled:
        raise DataError(f"{split.name}: has no labels, so it has no accuracy.")
    rates = {name: total / samples for name, total in zip(spiking(net), seen, strict=True)}
    return Evaluation(right / labelled, rates, None if objective is None else total / labelled)


def correct(output: Tensor, labels: Tensor, decode: Callable[[Tensor], Tensor]) -> int:
    """Number of right answers: output `[T, B, C]`, labels `[B]`, or `[T, B]` with an answer a step."""
    answer = decode(output) if labels.ndim == 1 else decode_steps(output)
    return int(((answer == labels) & (labels != UNLABELLED)).sum())


def weight_of(labels: Tensor) -> int:
    """What a batch counts in means: its samples, or its labelled steps where there is a label a step."""
    return len(labels) if labels.ndim == 1 else int((labels != UNLABELLED).sum())
