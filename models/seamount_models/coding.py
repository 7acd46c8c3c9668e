"""From intensities to spikes and back.

Codings follow the tutorial of Eshraghian et al., "Training Spiking Neural Networks Using Lessons From Deep Learning"
(Proc. IEEE 2023), section III-A (inputs) and III-B (outputs), and snnTorch's `spikegen`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numba import njit
from torch import Tensor

from seamount.errors import DataError


@njit(inline="always")
def _mix(z):
    """SplitMix64's output function (Steele, Lea, Flood 2014): 64 random bits from a counter."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def _bernoulli(x, keys, spikes):
    """`spikes[t, b, i] = uniform(key_b, t, i) < x[b, i]`, uniform in multiples of 2^-24.

    A counter-based generator makes the draw of a sample independent of the batch that it is in, and needs no memory.
    """
    steps, batch, size = spikes.shape
    for t in range(steps):
        for b in range(batch):
            for i in range(size):
                if x[b, i] > 0:
                    counter = keys[b] + np.uint64(t * size + i + 1) * np.uint64(0x9E3779B97F4A7C15)
                    spikes[t, b, i] = np.float32(_mix(counter) >> np.uint64(40)) * np.float32(2.0**-24) < x[b, i]


@njit(cache=True)
def _keys(seed, indices):
    keys = np.empty(indices.shape[0], np.uint64)
    for b in range(indices.shape[0]):
        keys[b] = _mix(_mix(seed + np.uint64(0x9E3779B97F4A7C15)) + np.uint64(indices[b]))
    return keys


def sample_keys(seed: int, indices: Tensor) -> np.ndarray:
    """64 random bits, uint64 `[B]`, from a seed (0..2^63-1) and each sample's index (int64 `[B]`)."""
    return _keys(np.uint64(seed), indices.numpy().astype(np.int64))


def rate(x: Tensor, steps: int, *, seed: int = 0, indices: Tensor | None = None) -> Tensor:
    """Rate code: in each step a neuron fires with the probability of its intensity.

    `P(s[t, b, i] = 1) = x[b, i]`, independent between steps. The draw depends on `seed`, the sample's index, the step
    and the neuron only, so a sample is coded alike in every batch.

    Args:
        x: float `[B, ...]` in 0..1, or uint8 that stands for `x / 255`.
        steps: number of time steps T.
        seed: of the draw, 0..2^63-1.
        indices: int64 `[B]`, what tells the samples apart; default 0..B-1.

    Returns:
        uint8 `[T, B, ...]`, 0 or 1.

    Raises:
        DataError: intensities outside 0..1, or steps, seed or indices that do not fit.

    Example:
        >>> rate(torch.tensor([[0.0, 1.0]]), 3).tolist()
        [[[0, 1]], [[0, 1]], [[0, 1]]]
    """
    x = _intensities(x, steps)
    if not 0 <= seed < 2**63:
        raise DataError(f"rate: seed = {seed} (allowed 0..2^63-1).")
    indices = torch.arange(len(x)) if indices is None else indices
    if indices.shape != (len(x),):
        raise DataError(f"rate: indices have shape {tuple(indices.shape)}, the batch needs ({len(x)},).")
    spikes = np.zeros((steps, len(x), x[0].numel() if len(x) else 0), np.uint8)
    _bernoulli(x.reshape(len(x), -1).numpy(), sample_keys(seed, indices), spikes)
    return torch.from_numpy(spikes).reshape(steps, *x.shape)


def latency(x: Tensor, steps: int, *, threshold: float = 0.0) -> Tensor:
    """Latency code: one spike per neuron, the brighter the earlier.

    `t = round((T - 1) (1 - x))` for `x > threshold`; a neuron at or below the threshold stays silent. This is
    snnTorch's `spikegen.latency(linear=True, normalize=True, clip=True)`.

    Args:
        x: float `[B, ...]` in 0..1, or uint8 that stands for `x / 255`.
        steps: number of time steps T.
        threshold: intensity above which a neuron fires, 0..1.

    Returns:
        uint8 `[T, B, ...]`, 0 or 1.

    Raises:
        DataError: intensities or threshold outside 0..1, or fewer than one step.

    Example:
        >>> latency(torch.tensor([[0.0, 0.5, 1.0]]), 3)[:, 0].tolist()
        [[0, 0, 1], [0, 1, 0], [0, 0, 0]]
    """
    x = _intensities(x, steps)
    if not 0 <= threshold <= 1:
        raise DataError(f"latency: threshold = {threshold:g} (allowed 0..1).")
    first = torch.round((steps - 1) * (1 - x)).to(torch.int64)
    spikes = torch.zeros(steps, *x.shape, dtype=torch.uint8)
    return spikes.scatter_(0, first[None], (x > threshold).to(torch.uint8)[None])


def encode(coding: str, x: Tensor, steps: int, *, seed: int, indices: Tensor) -> Tensor:
    """Code intensities by a coding's name; `latency` draws nothing, so it needs neither seed nor indices."""
    if coding == "rate":
        return rate(x, steps, seed=seed, indices=indices)
    if coding == "latency":
        return latency(x, steps)
    raise DataError(f"{coding}: no such coding. There are: {', '.join(CODINGS)}.")


CODINGS: Sequence[str] = ("latency", "rate")


def decode_count(spikes: Tensor) -> Tensor:
    """Return the class whose neuron fired most, int64 `[B]`; among equals the first. `spikes`: `[T, B, C]`.

    Example:
        >>> decode_count(torch.tensor([[[1, 0, 1]], [[0, 0, 1]]])).tolist()
        [2]
    """
    if spikes.ndim != 3:
        raise DataError(f"decode_count: output has shape {tuple(spikes.shape)}, needed [T, B, classes].")
    return spikes.sum(0).argmax(-1)


def _intensities(x: Tensor, steps: int) -> Tensor:
    """Intensities as contiguous float32 in 0..1, checked."""
    if steps < 1:
        raise DataError(f"coding: steps = {steps} (allowed 1 or more).")
    if x.ndim < 1 or not (x.dtype == torch.uint8 or x.is_floating_point()):
        raise DataError(f"coding: intensities are {x.dtype} {tuple(x.shape)}. Hint: float in 0..1 or uint8, [B, ...].")
    if x.dtype == torch.uint8:
        return (x.to(torch.float32) / 255).contiguous()
    if x.numel() and not (x.min() >= 0 and x.max() <= 1):  # written so that NaN is refused too
        raise DataError(
            f"coding: intensities are {x.min():g}..{x.max():g} (allowed 0..1). Hint: divide by the maximum."
        )
    return x.detach().to(torch.float32).contiguous()
