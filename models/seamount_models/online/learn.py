"""Learning from one batch with a rule and an optimizer, by hand; whole trainings are `training.fit(rule=...)`."""

from __future__ import annotations

import torch
from torch import Tensor

from seamount.errors import TrainingError
from seamount_models.online.bptt import BPTT
from seamount_models.online.rule import Stepwise


def learn(
    rule: Stepwise | BPTT, optimizer: torch.optim.Optimizer, x: Tensor, labels: Tensor, *, immediate: bool = False
) -> Tensor:
    """Learn from a batch. The loss of a step counts 1 / T (OTTT 2022, Eq. 5), so that rates suit samples of any length.

    Args:
        rule: what gives the gradients.
        optimizer: of the network's parameters.
        x: input `[T, B, ...]`.
        labels: int64 `[B]`, or one a step `[T, B]`, -1 for none.
        immediate: step the optimizer after every step of time (OTTT-O) and not at the end (OTTT-A).

    Returns:
        The outputs of the steps, `[T, B, C]`.

    Raises:
        TrainingError: BPTT asked for immediate gradients.
    """
    if immediate and isinstance(rule, BPTT):
        raise TrainingError("BPTT: immediate = True, but it knows no gradient before a sample ends. Hint: online.OTTT.")
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
