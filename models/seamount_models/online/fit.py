"""Training with a rule: its gradients at the end of each sample, or after every step."""

from __future__ import annotations

import torch
from torch import Tensor

from seamount.errors import DataError, TrainingError
from seamount_models.decoding import decode_count
from seamount_models.online.bptt import BPTT
from seamount_models.online.rule import Stepwise
from seamount_models.splits import Dataset
from seamount_models.training import History
from seamount_models.training.evaluation import correct, weight_of


def fit(
    rule: Stepwise | BPTT,
    data: Dataset,
    *,
    epochs: int,
    lr: float = 1e-3,
    immediate: bool = False,
    optimizer: type[torch.optim.Optimizer] = torch.optim.Adam,
    batch_size: int = 32,
    seed: int = 0,
) -> History:
    """Train a rule's network in place on `data.train`.

    The loss of a step counts 1 / T (OTTT 2022, Eq. 5), so that rates suit samples of any length.

    Args:
        rule: what gives the gradients.
        data: the test split is not looked at.
        epochs: passes over the training split; samples are coded anew in each.
        lr: step size.
        immediate: step the optimizer after every step of time (OTTT-O) and not at the end of a batch (OTTT-A).
        optimizer: as `torch.optim.Adamax`.
        batch_size: samples at a time; 1 is learning as they come.
        seed: of order and coding.

    Returns:
        Mean loss and accuracy, by spike counts, of each epoch.

    Raises:
        DataError: nothing to train on, or what the loss refuses.
        TrainingError: a loss that is not a number, or BPTT asked for immediate gradients.

    Example:
        >>> import seamount as sm
        >>> from seamount_models import datasets, networks, online
        >>> net = networks.mlp((64, 32, 10), sm.nn.LIF(beta=0.9), seed=0)
        >>> history = online.fit(online.OTTT(net), datasets.load("digits", steps=4), epochs=2)
        >>> history.loss[1] < history.loss[0]
        True
    """
    if immediate and isinstance(rule, BPTT):
        raise TrainingError("BPTT: immediate = True, but it knows no gradient before a sample ends. Hint: online.OTTT.")
    if not len(data.train) or epochs < 1:
        raise DataError(f"{data.name}: {len(data.train)} samples, {epochs} epochs (allowed 1 or more of each).")
    parameters = [p for p in rule.net.parameters() if p.requires_grad]
    step = optimizer(parameters, lr=lr)  # type: ignore[call-arg]
    history = History()
    for epoch in range(epochs):
        loss, right, seen, labelled = 0.0, 0, 0, 0
        for x, labels in data.train.batches(batch_size, shuffle=True, seed=seed + epoch):
            x, labels = x.to(parameters[0]), labels.to(parameters[0].device)
            outputs = learn(rule, step, x, labels, immediate=immediate)
            loss, seen = loss + float(rule.value) * x.shape[1], seen + x.shape[1]
            right, labelled = right + correct(outputs.cpu(), labels.cpu(), decode_count), labelled + weight_of(labels)
        history.loss.append(loss / seen)
        history.accuracy.append(right / max(labelled, 1))
    return history


def learn(
    rule: Stepwise | BPTT, optimizer: torch.optim.Optimizer, x: Tensor, labels: Tensor, *, immediate: bool = False
) -> Tensor:
    """Learn from a batch.

    Args:
        rule, immediate: as for fit.
        optimizer: of the network's parameters.
        x: input `[T, B, ...]`.
        labels: int64 `[B]`, or one a step `[T, B]`, -1 for none.

    Returns:
        The outputs of the steps, `[T, B, C]`.
    """
    steps = len(x)
    targets = labels if labels.ndim == 2 else labels.expand(steps, -1)
    optimizer.zero_grad()
    if not immediate:
        outputs = rule.sample(x, targets, [1 / steps] * steps)
        optimizer.step()
        return outputs
    rule.reset()
    found = []
    for now, target in zip(x, targets, strict=True):
        optimizer.zero_grad()
        found.append(rule.step(now, target, 1 / steps))
        optimizer.step()
    return torch.stack(found)
