"""From intensities and signals to what enters a network.

Codings follow the tutorial of Eshraghian et al., "Training Spiking Neural Networks Using Lessons From Deep Learning"
(Proc. IEEE 2023), section III-A, and snnTorch's `spikegen`, unless they name another source. `encoders` binds them to
their settings, `decoding` is the way back.
"""

from __future__ import annotations

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


@njit(cache=True, nogil=True)
def _choose(number, keys, spikes):
    """Set `number[b, i]` of the T steps, every choice being as likely (Knuth, TAOCP 2, algorithm 3.4.2S)."""
    steps, batch, size = spikes.shape
    for t in range(steps):
        for b in range(batch):
            for i in range(size):
                if number[b, i] > 0:
                    counter = keys[b] + np.uint64(t * size + i + 1) * np.uint64(0x9E3779B97F4A7C15)
                    uniform = np.float64(_mix(counter) >> np.uint64(40)) * 2.0**-24
                    if uniform * (steps - t) < number[b, i]:
                        spikes[t, b, i] = 1
                        number[b, i] -= 1


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
    x = intensities(x, steps)
    spikes, keys = _drawn("rate", x, steps, seed, indices)
    _bernoulli(x.reshape(spikes.shape[1:]).numpy(), keys, spikes)
    return torch.from_numpy(spikes).reshape(steps, *x.shape)


def count(x: Tensor, steps: int, *, seed: int = 0, indices: Tensor | None = None) -> Tensor:
    """Count code: a number of spikes in proportion to the intensity, at steps that mean nothing.

    `sum_t s[t] = round(T x)`, with ties to even, and every choice of the steps as likely. Unlike `rate`, the number is
    not drawn. Source: the rate variant of Randman in the OTPE paper (arXiv:2311.16151), section 4.

    Args:
        x, steps, seed, indices: as for `rate`.

    Returns:
        uint8 `[T, B, ...]`, 0 or 1.

    Raises:
        DataError: as for `rate`.

    Example:
        >>> count(torch.tensor([[0.0, 0.5, 1.0]]), 8).sum(0).tolist()
        [[0, 4, 8]]
    """
    x = intensities(x, steps)
    spikes, keys = _drawn("count", x, steps, seed, indices)
    number = torch.round(x * steps).to(torch.int64).reshape(spikes.shape[1:])
    _choose(number.numpy(), keys, spikes)
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
    x = intensities(x, steps)
    if not 0 <= threshold <= 1:
        raise DataError(f"latency: threshold = {threshold:g} (allowed 0..1).")
    first = torch.round((steps - 1) * (1 - x)).to(torch.int64)
    spikes = torch.zeros(steps, *x.shape, dtype=torch.uint8)
    return spikes.scatter_(0, first[None], (x > threshold).to(torch.uint8)[None])


def population(x: Tensor, units: int) -> Tensor:
    """Population code, first half: what neurons with Gaussian receptive fields make of a value.

    `a_i = exp(-(x - mu_i)^2 / (2 sigma^2))`, `mu_i = (2 i - 3) / (2 (m - 2))` for i = 1..m, and
    `sigma = 1 / (1.5 (m - 2))`. Source: Bohte, Kok and La Poutre, "Error-backpropagation in temporally encoded networks
    of spiking neurons" (Neurocomputing 48, 2002). The activations are intensities: `rate` or `latency`
    makes spikes of them.

    Args:
        x: float `[B, ...]` in 0..1, or uint8 that stands for `x / 255`.
        units: neurons m a value, 3 or more.

    Returns:
        float32 `[B, ..., m]` in 0..1.

    Raises:
        DataError: intensities outside 0..1, or fewer than 3 units.

    Example:
        >>> population(torch.tensor([[0.5]]), 3).argmax(-1).tolist()
        [[1]]
    """
    x = intensities(x, 1)
    if units < 3:
        raise DataError(f"population: units = {units} (allowed 3 or more).")
    centres = (2 * torch.arange(1, units + 1, dtype=torch.float32) - 3) / (2 * (units - 2))
    sigma = 1 / (1.5 * (units - 2))
    return torch.exp(-((x[..., None] - centres) ** 2) / (2 * sigma**2))


def direct(x: Tensor, steps: int, *, bound: int) -> Tensor:
    """Direct current: the intensity itself, as a whole number, in every step.

    `s[t] = round(bound x)`, with ties to even. Bytes with `bound = 255` are passed on as they are. Source: "direct
    input" of Rathi and Roy, "DIET-SNN" (arXiv:2008.03658); a chip takes it as a graded spike.

    Args:
        x: float `[B, ...]` in 0..1, or uint8 that stands for `x / 255`.
        steps: number of time steps T.
        bound: the largest value, 1..2^24. Float32 tells apart no more, so training would not see what the chip sees.

    Returns:
        int32 `[T, B, ...]`, 0..bound. All steps are the same memory: copy before writing into it.

    Raises:
        DataError: intensities outside 0..1, fewer than one step, or a bound out of range.

    Example:
        >>> direct(torch.tensor([[0.0, 0.5, 1.0]]), 2, bound=8).tolist()
        [[[0, 4, 8]], [[0, 4, 8]]]
    """
    x = intensities(x, steps)
    if not 1 <= bound <= 2**24:
        raise DataError(f"direct: bound = {bound} (allowed 1..2^24).")
    return torch.round(x * bound).to(torch.int32).expand(steps, *x.shape)


def delta(x: Tensor, threshold: float, *, two_channels: bool = False) -> Tensor:
    """Delta code: an event where a signal has moved by the threshold since the last event (level crossing).

    With the level `r[0] = x[0]`, in each step at most one event:

    `e[t] = 1 if x[t] - r >= threshold, -1 if x[t] - r <= -threshold, else 0;   r = x[0] + threshold sum e`

    so `|x - r| < threshold` holds as long as the signal moves by less than the threshold per step. Sources: delta
    modulation in Eshraghian et al. (Proc. IEEE 2023), section III-A; level crossing of electrocardiograms in Yin,
    Corradi and Bohte, "Accurate and efficient time-domain classification with adaptive spiking recurrent neural
    networks" (Nature Machine Intelligence 2021).

    Args:
        x: float `[B, T, ...]`, signals in any unit.
        threshold: in the signal's unit, above 0.
        two_channels: give up and down a neuron each.

    Returns:
        int8 `[T, B, ...]`, -1, 0 or 1; with two channels uint8 `[T, B, 2, ...]`, first up, then down.

    Raises:
        DataError: a signal that is not float `[B, T, ...]`, or holds NaN or infinity, or a threshold of 0 or less.

    Example:
        >>> delta(torch.tensor([[0.0, 1.0, 1.0, -1.0]]), 1.0)[:, 0].tolist()
        [0, 1, 0, -1]
    """
    if x.ndim < 2 or not x.is_floating_point():
        raise DataError(f"delta: the signal is {x.dtype} {tuple(x.shape)}. Hint: float [B, T, ...].")
    if not bool(torch.isfinite(x).all()):
        raise DataError("delta: the signal holds NaN or infinity.")
    if not 0 < threshold < float("inf"):
        raise DataError(f"delta: threshold = {threshold:g} (allowed above 0).")
    signal = x.detach().double().transpose(0, 1)
    events = torch.zeros(signal.shape, dtype=torch.int8)
    total = torch.zeros(signal.shape[1:], dtype=torch.float64)  # a count, not a sum of thresholds: nothing accumulates
    for t in range(1, len(signal)):
        error = signal[t] - (signal[0] + threshold * total)
        events[t] = (error >= threshold).to(torch.int8) - (error <= -threshold).to(torch.int8)
        total += events[t]
    return torch.stack([events > 0, events < 0], 2).to(torch.uint8) if two_channels else events


def _drawn(who: str, x: Tensor, steps: int, seed: int, indices: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    """Room for the spikes, `[T, B, N]`, and the key of each sample."""
    if not 0 <= seed < 2**63:
        raise DataError(f"{who}: seed = {seed} (allowed 0..2^63-1).")
    indices = torch.arange(len(x)) if indices is None else indices
    if indices.shape != (len(x),):
        raise DataError(f"{who}: indices have shape {tuple(indices.shape)}, the batch needs ({len(x)},).")
    return np.zeros((steps, len(x), x[0].numel() if len(x) else 0), np.uint8), sample_keys(seed, indices)


def intensities(x: Tensor, steps: int = 1) -> Tensor:
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
