"""What every loss asks of its arguments."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from seamount.errors import DataError
from seamount_models.splits import UNLABELLED


def check_labels(loss: str, output: Tensor, labels: Tensor, *, per_step: bool = False) -> None:
    """Raise unless output `[T, B, C]` and labels fit each other.

    Args:
        loss: name, for messages.
        output: of the network.
        labels: int64 `[B]`, 0..C-1; with `per_step` also `[T, B]`, where -1 is ignored.
        per_step: whether the loss knows steps.

    Raises:
        DataError: shapes that do not fit, labels that are not whole numbers, or a label outside its range.
    """
    shape = labels.shape
    fits = output.ndim == 3 and (output.shape[1:2] == shape or (per_step and output.shape[:2] == shape))
    if not fits:
        allowed = "[B] or [T, B]" if per_step else "[B]"
        hint = "time comes first."
        if not per_step and output.ndim == 3 and output.shape[:2] == shape:
            hint = "labels of each step need a loss of each step, as membrane_cross_entropy."
        raise DataError(
            f"{loss}: output has shape {list(output.shape)} and labels {list(shape)} "
            f"(needed [T, B, C] and {allowed}). Hint: {hint}"
        )
    if labels.dtype != torch.int64:
        raise DataError(f"{loss}: labels are {labels.dtype} (needed torch.int64).")
    classes, lowest = output.shape[-1], UNLABELLED if labels.ndim == 2 else 0
    if labels.numel() and not lowest <= int(labels.min()) <= int(labels.max()) < classes:
        wrong = labels[(labels < lowest) | (labels >= classes)][0]
        note = ", or -1 for none" if labels.ndim == 2 else ""
        raise DataError(f"{loss}: label {int(wrong)} is outside 0..{classes - 1}{note}.")


def targets(labels: Tensor, like: Tensor, right: float, wrong: float) -> Tensor:
    """`right` for the class of the label and `wrong` for all others: labels `[...]` -> `[..., C]`, as `like [..., C]`.

    Steps without a label get `wrong` throughout; whoever calls leaves them out.
    """
    hot = functional.one_hot(labels.clamp(min=0), like.shape[-1]).to(like.dtype)
    return wrong + (right - wrong) * hot
