"""Losses of one step: output `[B, C]` and target in, a scalar out, mean over the batch.

A label of -1 means that the step has none; it adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional

from seamount.errors import DataError
from seamount_models.losses.checks import targets
from seamount_models.splits import UNLABELLED

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the softmax over this step's output: OTTT 2022, Eq. 5.

    Args:
        output: float `[B, C]`.
        target: int64 labels `[B]`.
    """
    return functional.cross_entropy(output, target, ignore_index=UNLABELLED, reduction="sum") / len(output)


def mse(output: Tensor, target: Tensor) -> Tensor:
    """Mean square error, `mean over b, c of (output - target)^2`.

    Args:
        output: float `[B, C]`.
        target: float `[B, C]`, or int64 labels `[B]` for 1 in the label's place and 0 elsewhere.
    """
    if target.is_floating_point():
        return functional.mse_loss(output, target)
    there = (target != UNLABELLED)[:, None]
    return (there * (output - targets(target, output, 1.0, 0.0)) ** 2).mean()


def mixed(output: Tensor, target: Tensor, *, share: float = 0.05) -> Tensor:
    """`(1 - share) cross_entropy + share mse`, the mix of Deng et al. 2022 ("Temporal efficient training").

    Args:
        output: float `[B, C]`.
        target: int64 labels `[B]`.
        share: of the square error.
    """
    return (1 - share) * cross_entropy(output, target) + share * mse(output, target)


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "mse": mse, "mixed": mixed}
"""By name."""


def find(loss: str | Loss, **settings: float) -> Loss:
    """Return a loss by its name, or the function itself.

    Raises:
        DataError: an unknown name.

    Example:
        >>> import torch
        >>> float(find("mse")(torch.zeros(1, 2), torch.tensor([1])))
        0.5
    """
    if callable(loss):
        return loss
    if loss not in LOSSES:
        raise DataError(f"loss {loss!r} is unknown. Allowed: {', '.join(LOSSES)}.")
    return partial(LOSSES[loss], **settings) if settings else LOSSES[loss]
