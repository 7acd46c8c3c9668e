"""Randman: points on random smooth manifolds, one manifold a class, as spike times or as spike counts.

Sources: Zenke and Vogels, "The remarkable robustness of surrogate gradient learning for instilling complex function in
spiking neural networks" (Neural Computation 2021); the rate variant and the defaults are those of the OTPE paper
("Estimating post-synaptic effects for online training of feed-forward SNNs", arXiv:2311.16151), section 4 and appendix
A.1: 10 manifolds of 3 dimensions, alpha = 1, 50 neurons, 50 steps. It is generated; no file is needed.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from seamount.errors import DataError
from seamount_models.encoders import Count, Encoder, Latency
from seamount_models.splits import Dataset, Split

PRECISION = 1e-3
"""Relative amplitude below which frequencies are left out."""
MOST_FREQUENCIES = 1000
CODES: dict[str, Encoder] = {"time": Latency(), "rate": Count()}
"""Variant -> how a coordinate becomes spikes: one spike, the larger the later; or so many spikes, shuffled."""
CHUNK = 8
"""Points at a time: `CHUNK * units * frequencies` floats should fit the cache."""


def dataset(
    *,
    steps: int = 50,
    seed: int = 0,
    variant: str = "time",
    classes: int = 10,
    units: int = 50,
    dimensions: int = 3,
    alpha: float = 1.0,
    train: int = 5000,
    test: int = 1000,
    manifold_seed: int = 0,
) -> Dataset:
    """Return Randman.

    A class is a map of the cube `[0, 1]^D` into `[0, 1]^units`, `y_i = standardized prod_d f_id(x_d)` with
    `f(x) = sum_(k=1..K) a_k (k + 1)^-alpha sin(2 pi (k b_k x + c_k))`; a, b, c are uniform in 0..1, and
    `K = min(1000, 0.001^(-1/alpha)) - 1`. A sample is the image of a random point.

    Args:
        steps: T.
        seed: of the shuffle, in the rate variant.
        variant: `"time"` (T-Randman): neuron i fires once, at `round((T - 1) y_i)`, so that counts tell nothing;
            `"rate"` (R-Randman): it fires `round(T (1 - y_i))` times at random steps, so that times tell nothing.
        classes: number of manifolds.
        units: neurons.
        dimensions: D of a manifold.
        alpha: smoothness; the larger, the smoother and easier.
        train, test: samples, all classes together.
        manifold_seed: of manifolds and points.
    """
    counts = {
        "steps": steps,
        "classes": classes,
        "units": units,
        "dimensions": dimensions,
        "train": train,
        "test": test,
    }
    if wrong := [f"{name} = {value}" for name, value in counts.items() if value < 1]:
        raise DataError(f"randman: {', '.join(wrong)} (allowed 1 or more).")
    if variant not in CODES:
        raise DataError(f"randman: there is no variant {variant!r}. There are: {', '.join(CODES)}.")
    if not 0 < alpha < math.inf:
        raise DataError(f"randman: alpha = {alpha:g} (allowed above 0).")
    rng = np.random.default_rng(manifold_seed)
    samples = train + test
    y = np.arange(samples) % classes
    x = np.empty((samples, units), np.float32)
    for c in range(classes):
        members = np.flatnonzero(y == c)
        parameters = rng.random((3, dimensions, units, _frequencies(alpha)), np.float32)
        x[members] = 1 - _standardized(_manifold(rng.random((len(members), dimensions), np.float32), parameters, alpha))

    def split(part: str, begin: int, end: int) -> Split:
        return Split(
            name=f"randman.{part}",
            x=torch.from_numpy(x[begin:end]),
            y=torch.from_numpy(y[begin:end]),
            classes=classes,
            steps=steps,
            coding=CODES[variant],
            seed=seed,
        )

    return Dataset(name="randman", train=split("train", 0, train), test=split("test", train, samples))


def _frequencies(alpha: float) -> int:
    return max(1, min(math.ceil(min(PRECISION ** (-1 / alpha), MOST_FREQUENCIES)), MOST_FREQUENCIES) - 1)


def _manifold(points: np.ndarray, parameters: np.ndarray, alpha: float) -> np.ndarray:
    """Images of points `[n, D]` under a map with parameters a, b, c `[3, D, units, K]`, float32 `[n, units]`."""
    k = np.arange(1, parameters.shape[-1] + 1, dtype=np.float32)
    amplitude = parameters[0] * (k + 1) ** -alpha
    image = np.ones((len(points), parameters.shape[2]), np.float32)
    for begin in range(0, len(points), CHUNK):
        for d, (a, b, c) in enumerate(zip(amplitude, parameters[1], parameters[2], strict=True)):
            turns = points[begin : begin + CHUNK, d, None, None] * (k * b) + c
            turns -= np.floor(turns)  # a sine of small angles is exact and quick
            turns *= np.float32(2 * np.pi)
            image[begin : begin + CHUNK] *= np.einsum("buk,uk->bu", np.sin(turns, out=turns), a)
    return image


def _standardized(image: np.ndarray) -> np.ndarray:
    """Each coordinate from 0 to just below 1: at 1 the latency code has no spike."""
    low, high = image.min(0), image.max(0)
    return (image - low) / (high - low + 1e-12) * np.float32(1 - 1e-6)
