"""Objectives: network output and labels in, a scalar out; and bounds on activity.

An objective is a function `(output [T, B, C], labels) -> scalar`; those here can be had by name, with the decoder that
reads an answer off the output in the objective's own terms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from seamount_models import decoding
from seamount_models.losses.activity import ActivityBounds, bounds
from seamount_models.losses.count import count_cross_entropy, count_mse
from seamount_models.losses.membrane import (
    max_membrane_cross_entropy,
    max_membrane_mse,
    membrane_cross_entropy,
    membrane_mix,
    membrane_mse,
)
from seamount_models.losses.timing import (
    first_spike_times,
    spike_time_cross_entropy,
    spike_time_mse,
    spike_time_relative_mse,
)
from seamount_models.named import chosen

Loss = Callable[[Tensor, Tensor], Tensor]

DECODERS: dict[Callable[..., Tensor], Callable[[Tensor], Tensor]] = {
    count_cross_entropy: decoding.decode_count,
    count_mse: decoding.decode_count,
    max_membrane_cross_entropy: decoding.decode_max_membrane,
    max_membrane_mse: decoding.decode_max_membrane,
    membrane_cross_entropy: decoding.decode_count,
    membrane_mix: decoding.decode_count,
    membrane_mse: decoding.decode_count,
    spike_time_cross_entropy: decoding.decode_first_spike,
    spike_time_mse: decoding.decode_first_spike,
    spike_time_relative_mse: decoding.decode_first_spike,
}
"""Objective -> the decoder that answers in its terms, for samples with one label."""

OF_STEPS: set[Callable[..., Tensor]] = {membrane_cross_entropy, membrane_mix, membrane_mse}
"""Objectives that are a mean over steps, so that each step has its own: those that an online rule can follow."""

LOSSES: dict[str, Callable[..., Tensor]] = {loss.__name__: loss for loss in DECODERS}
"""Objectives by name."""


def find(loss: str | Mapping[str, Any] | Loss) -> Loss:
    """Return an objective.

    Args:
        loss: its name; a mapping with its `name` and its settings, as a recipe writes them; or the function itself.

    Raises:
        DataError: an unknown name, or a setting that the objective does not have.

    Example:
        >>> import torch
        >>> loss = find({"name": "count_mse", "right": 0.5})
        >>> loss(torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]]), torch.tensor([0]))
        tensor(0.)
    """
    if callable(loss):
        return loss
    name, settings = chosen("loss", loss, LOSSES, positional=2)
    return partial(LOSSES[name], **settings) if settings else LOSSES[name]


def decoder(loss: Loss) -> Callable[[Tensor], Tensor]:
    """Return the decoder that goes with an objective; of one's own function, by count."""
    return DECODERS.get(getattr(loss, "func", loss), decoding.decode_count)


def describe(loss: Callable) -> str:
    """Name and settings of an objective, or of any other function."""
    name = getattr(getattr(loss, "func", loss), "__name__", type(loss).__name__)
    settings = ", ".join(f"{key}={value!r}" for key, value in getattr(loss, "keywords", {}).items())
    return f"{name}({settings})" if settings else name


__all__ = [
    "DECODERS",
    "LOSSES",
    "OF_STEPS",
    "ActivityBounds",
    "Loss",
    "bounds",
    "count_cross_entropy",
    "count_mse",
    "decoder",
    "describe",
    "find",
    "first_spike_times",
    "max_membrane_cross_entropy",
    "max_membrane_mse",
    "membrane_cross_entropy",
    "membrane_mix",
    "membrane_mse",
    "spike_time_cross_entropy",
    "spike_time_mse",
    "spike_time_relative_mse",
]
