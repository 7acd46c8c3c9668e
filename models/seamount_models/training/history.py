"""What a training run saw."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class History:
    """What `fit` saw, one entry an epoch.

    Attributes:
        loss: mean over the training split, without the penalty on activity.
        accuracy: on the training split while training, 0..1; of labels where there is one a step.
        validation_loss, validation_accuracy: after the epoch, with `fit(validation=...)`.
        best: with validation, the epoch (from 0) whose weights the network has now: the most accurate on the
            validation split, among equals the one of the smallest loss, then the first.
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    best: int | None = None

    def validated(self, loss: float, accuracy: float) -> bool:
        """Add an epoch's measurement on the validation split; return whether it is the best so far."""
        self.validation_loss.append(loss)
        self.validation_accuracy.append(accuracy)
        if self.best is None or self._rank(-1) > self._rank(self.best):
            self.best = len(self.validation_loss) - 1
            return True
        return False

    def stale(self) -> int:
        """Epochs since the best one."""
        return 0 if self.best is None else len(self.validation_loss) - 1 - self.best

    def _rank(self, epoch: int) -> tuple[float, float]:
        return self.validation_accuracy[epoch], -self.validation_loss[epoch]
