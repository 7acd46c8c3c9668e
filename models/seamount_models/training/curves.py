"""Curves of a run for TensorBoard."""

from __future__ import annotations

from pathlib import Path

from seamount.errors import TrainingError
from seamount_models.training.history import History


class Curves:
    """Writes what `fit` sees to a folder that `tensorboard --logdir` shows.

    Args:
        folder: made if it is not there; None writes nothing.
        begin: first epoch to write, where a run goes on; what a run that broke off wrote after it, is dropped.

    Raises:
        TrainingError: tensorboard is not installed.
    """

    def __init__(self, folder: str | Path | None, begin: int = 0) -> None:
        self.writer = None
        if folder is None:
            return
        try:
            # imported here: an extra, and slow to import
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise TrainingError(
                f"log = {str(folder)!r}: tensorboard is not installed. Hint: pip install 'seamount[tensorboard]'."
            ) from error
        self.writer = SummaryWriter(str(folder), purge_step=begin or None)

    def write(self, epoch: int, history: History, rates: dict[str, float], lr: float) -> None:
        """Write the last entries of the history, the rates of the populations and the step size."""
        if self.writer is None:
            return
        values = {"loss/train": history.loss[-1], "accuracy/train": history.accuracy[-1], "lr": lr}
        if history.validation_loss:
            values["loss/validation"] = history.validation_loss[-1]
            values["accuracy/validation"] = history.validation_accuracy[-1]
        values |= {f"rate/{name}": rate for name, rate in rates.items()}
        for tag, value in values.items():
            self.writer.add_scalar(tag, value, epoch)
        self.writer.flush()

    def close(self) -> None:
        """Finish the file."""
        if self.writer is not None:
            self.writer.close()
