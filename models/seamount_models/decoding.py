"""From what leaves a network to an answer.

Sources: Eshraghian et al., "Training Spiking Neural Networks Using Lessons From Deep Learning" (Proc. IEEE 2023),
section III-B: rate, latency and population codes of the output; membrane potentials as in its section III-C.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seamount.errors import DataError

SILENT = -1
"""Answer of a sample whose output never fired, where the answer is a time: no label is equal to it."""


def decode_count(spikes: Tensor) -> Tensor:
    """Return the class whose neuron fired most, int64 `[B]`; among equals the first. `spikes`: `[T, B, C]`.

    `argmax_c sum_t s[t, c]`. Of a readout without spikes it is the class with the largest mean v.

    Example:
        >>> decode_count(torch.tensor([[[1, 0, 1]], [[0, 0, 1]]])).tolist()
        [2]
    """
    return _checked("decode_count", spikes).sum(0).argmax(-1)


def decode_first_spike(spikes: Tensor) -> Tensor:
    """Return the class whose neuron fired first, int64 `[B]`; among equals the first class; -1 where none fired.

    `argmin_c min {t : s[t, c] > 0}`. `spikes`: `[T, B, C]`.

    Example:
        >>> decode_first_spike(torch.tensor([[[0, 0], [0, 0]], [[0, 1], [0, 0]], [[1, 1], [0, 0]]])).tolist()
        [1, -1]
    """
    time = first_spike_times(spikes)
    return torch.where(time.amin(-1) < len(spikes), time.argmin(-1), SILENT)


def first_spike_times(spikes: Tensor) -> Tensor:
    """Return the step of each neuron's first spike, int64 `[B, C]`; T where it never fires. `spikes`: `[T, B, C]`."""
    fired = _checked("first_spike_times", spikes) > 0
    return torch.where(fired.any(0), fired.to(torch.uint8).argmax(0), len(spikes))


def decode_population(spikes: Tensor, classes: int) -> Tensor:
    """Return the class whose group of neurons fired most, int64 `[B]`; among equals the first.

    `argmax_c sum_t sum_{i = c m .. c m + m - 1} s[t, i]` with `m = N / classes` neurons a class, side by side, as in
    snnTorch's population codes.

    Args:
        spikes: `[T, B, N]`.
        classes: divides N.

    Raises:
        DataError: shapes that do not fit.

    Example:
        >>> decode_population(torch.tensor([[[1, 0, 1, 1]]]), 2).tolist()
        [1]
    """
    neurons = _checked("decode_population", spikes).shape[-1]
    if classes < 1 or neurons % classes:
        raise DataError(f"decode_population: {neurons} neurons are not {classes} groups of one size.")
    return spikes.sum(0).unflatten(-1, (classes, -1)).sum(-1).argmax(-1)


def decode_max_membrane(v: Tensor) -> Tensor:
    """Return the class whose membrane rose highest, `argmax_c max_t v[t, c]`, int64 `[B]`. `v`: `[T, B, C]`.

    Example:
        >>> decode_max_membrane(torch.tensor([[[0.1, 0.9]], [[0.5, 0.2]]])).tolist()
        [1]
    """
    return _checked("decode_max_membrane", v).amax(0).argmax(-1)


def decode_last_membrane(v: Tensor) -> Tensor:
    """Return the class whose membrane is highest at the end, `argmax_c v[T-1, c]`, int64 `[B]`. `v`: `[T, B, C]`.

    Example:
        >>> decode_last_membrane(torch.tensor([[[0.1, 0.9]], [[0.5, 0.2]]])).tolist()
        [0]
    """
    return _checked("decode_last_membrane", v)[-1].argmax(-1)


def decode_steps(output: Tensor) -> Tensor:
    """Return the class of each step, `argmax_c output[t, c]`, int64 `[T, B]`, for labels per step.

    Example:
        >>> decode_steps(torch.tensor([[[0.1, 0.9]], [[0.5, 0.2]]])).tolist()
        [[1], [0]]
    """
    return _checked("decode_steps", output).argmax(-1)


DECODERS: dict[str, Callable[[Tensor], Tensor]] = {
    "count": decode_count,
    "first_spike": decode_first_spike,
    "last_membrane": decode_last_membrane,
    "max_membrane": decode_max_membrane,
    "steps": decode_steps,
}
"""Decoders that need nothing but the output, by name."""


def _checked(who: str, output: Tensor) -> Tensor:
    if output.ndim != 3 or not len(output) or not output.shape[-1]:
        raise DataError(f"{who}: output has shape {tuple(output.shape)}, needed [T, B, classes], at least one of each.")
    return output
