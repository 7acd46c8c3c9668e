"""From sound to spikes, as the inner ear does it: filter bank, rectification, compression, leaky neurons."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from seamount.errors import DataError

ORDER = 4
"""Of the gammatone filters."""


@njit(cache=True, nogil=True)
def _cochlea(sound, pole_re, pole_im, gain, stride, exponent, beta, drive, spikes):
    """Fill `spikes [T, C]`; see `Cochlea` for the equations."""
    channels = pole_re.shape[0]
    re, im = np.zeros((ORDER, channels)), np.zeros((ORDER, channels))
    v, hair = np.zeros(channels), np.zeros(channels)
    for t in range(spikes.shape[0]):
        hair[:] = 0.0
        for i in range(t * stride, (t + 1) * stride):
            for c in range(channels):
                x_re, x_im = sound[i] * gain[c], 0.0
                for k in range(ORDER):
                    y_re = pole_re[c] * re[k, c] - pole_im[c] * im[k, c] + x_re
                    y_im = pole_re[c] * im[k, c] + pole_im[c] * re[k, c] + x_im
                    re[k, c], im[k, c] = y_re, y_im
                    x_re, x_im = y_re, y_im
                hair[c] += max(x_re, 0.0)
        for c in range(channels):
            v[c] = beta * v[c] + drive * (hair[c] / stride) ** exponent
            if v[c] > 1.0:
                spikes[t, c] = 1
                v[c] -= 1.0


@dataclass(frozen=True)
class Cochlea:
    """An inner ear: one spiking neuron a frequency channel.

    The sound is scaled to a root mean square of 1, so that loud and soft speakers are alike. Per sample n and channel c
    with centre frequency f_c:

    ```
    g_k[n] = a_c g_k[n-1] + g_(k-1)[n],  k = 1..4,  g_0 = 2 (1 - |a_c|)^4 x   gammatone, complex (Hohmann 2002)
    a_c    = exp((-2 pi b_c + 2 pi i f_c) / rate)
    b_c    = 1.019 (24.7 + 0.108 f_c)                                        bandwidth (Glasberg and Moore 1990)
    h[t]   = mean over a step of max(Re g_4, 0)                              hair cell: half-wave rectification
    v[t]   = beta v[t-1] + drive h[t]^exponent                               compression, leaky membrane
    s[t]   = v[t] > 1,  v[t] -= s[t]
    ```

    The centres are spaced evenly on the scale of equivalent rectangular bandwidths, `21.4 log10(1 + 0.00437 f)`.
    Sources: Hohmann, "Frequency analysis and synthesis using a gammatone filterbank" (Acta Acustica 88, 2002); Glasberg
    and Moore, "Derivation of auditory filter shapes from notched-noise data" (Hearing Research 47, 1990); the chain
    follows the Heidelberg Digits: Cramer et al., "The Heidelberg spiking data sets" (IEEE TNNLS 2020).

    Args:
        rate: samples of sound per second.
        channels: number of neurons.
        low, high: lowest and highest centre frequency in hertz.
        stride: samples of sound a step; a step lasts `stride / rate` seconds.
        exponent: of the compression.
        tau: time constant of the membrane in seconds; `beta = exp(-stride / (rate tau))`.
        drive: scale of the membrane's input.
    """

    rate: int = 8000
    channels: int = 64
    low: float = 100.0
    high: float = 3600.0
    stride: int = 8
    exponent: float = 0.3
    tau: float = 0.01
    drive: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < self.rate / 2 or self.channels < 2 or self.stride < 1:
            raise DataError(
                f"cochlea: {self.channels} channels from {self.low:g} to {self.high:g} Hz in steps of {self.stride} "
                f"samples (allowed 2 or more, frequencies between 0 and {self.rate / 2:g} Hz, 1 or more)."
            )
        if not (self.tau > 0 and 0 < self.exponent <= 1 and self.drive > 0):
            raise DataError(
                f"cochlea: tau = {self.tau:g}, exponent = {self.exponent:g}, drive = {self.drive:g} "
                "(allowed above 0, exponent at most 1)."
            )

    @property
    def step_us(self) -> int:
        """Length of a step in microseconds."""
        return round(1_000_000 * self.stride / self.rate)

    @property
    def centres(self) -> np.ndarray:
        """Centre frequencies in hertz, float64 `[channels]`, ascending."""
        low, high = (math.log10(1 + 0.00437 * f) for f in (self.low, self.high))
        return (10 ** np.linspace(low, high, self.channels) - 1) / 0.00437

    def spikes(self, sound: np.ndarray) -> np.ndarray:
        """Hear a sound.

        Args:
            sound: `[samples]`, integers or floats of any scale.

        Returns:
            uint8 `[T, channels]` with `T = samples // stride`.

        Raises:
            DataError: the sound is not one row of finite numbers.

        Example:
            >>> tone = np.sin(2 * np.pi * 1000 * np.arange(4000) / 8000)
            >>> counts = Cochlea().spikes(tone).sum(0)
            >>> bool(abs(Cochlea().centres[counts.argmax()] - 1000) < 100)
            True
        """
        sound = np.ascontiguousarray(sound, dtype=np.float64)
        if sound.ndim != 1 or not np.isfinite(sound).all():
            raise DataError(f"cochlea: the sound is {sound.shape}, or not finite. Hint: one row of samples.")
        loudness = math.sqrt(float((sound**2).mean())) if len(sound) else 0.0
        spikes = np.zeros((len(sound) // self.stride, self.channels), np.uint8)
        if loudness:  # silence stays silence
            f = self.centres
            bandwidth = 1.019 * (24.7 + 0.108 * f)
            pole = np.exp((-bandwidth + 1j * f) * 2 * np.pi / self.rate)
            beta = math.exp(-self.stride / (self.rate * self.tau))
            gain = 2 * (1 - np.abs(pole)) ** ORDER / loudness  # a tone at the centre keeps its amplitude
            _cochlea(
                sound, pole.real.copy(), pole.imag.copy(), gain, self.stride, self.exponent, beta, self.drive, spikes
            )
        return spikes
