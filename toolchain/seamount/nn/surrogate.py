r"""Surrogate derivatives: what stands in for the derivative of the spike in the backward pass.

Each is a function of `x = v - vth`, in the units of the float network. The forward pass never sees them.

| name | derivative | source |
|---|---|---|
| `FastSigmoid(slope)` | `1 / (1 + slope abs(x))^2` | Zenke and Ganguli 2018; Eshraghian 2023 |
| `SuperSpike(slope)` | the same, with the slope of its paper | Zenke and Ganguli 2018, Eq. 9 |
| `Sigmoid(slope)` | `slope sigma(slope x) (1 - sigma(slope x))` | Neftci 2019; OTTT 2022, section 4 |
| `Triangular(width)` | `max(0, 1 - abs(x) / width) / width` | Esser 2016; Bellec 2018 |
| `Rectangular(width)` | `1 / width` where `abs(x) < width / 2` | Wu 2018 |
| `ArcTan(width)` | `(width / 2) / (1 + (pi width x / 2)^2)` | Fang 2021; default of snnTorch |
| `Exponential(slope, scale)` | `scale exp(-slope abs(x))` | Shrestha and Orchard 2018 (SLAYER) |
| `Gaussian(sigma)` | normal density | Yin 2021 |
| `MultiGaussian(sigma, h, s, gamma)` | sum of three normal densities, negative at the sides | Yin 2021 |
| `TruncatedQuadratic(width)` | `max(0, 1 + x / width)` | Bohte 2011 |
| `StraightThrough()` | `1` | Bengio 2013; Hinton |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Surrogate:
    """Base class: a callable from `x = v - vth` to the surrogate derivative.

    Written with `+ - * / abs < >` and powers, of a number or to a whole one, only, so that tensors of any shape run
    through it and `trace.py` can record it.
    """

    def __call__(self, x: Any) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """`1 / (1 + slope |x|)^2`, the derivative of `x / (1 + slope |x|)`."""

    slope: float = 25.0

    def __call__(self, x: Any) -> Any:
        y = 1 / (abs(x) * self.slope + 1)
        return y * y


@dataclass(frozen=True)
class SuperSpike(FastSigmoid):
    """Fast sigmoid under the name and slope of SuperSpike (Zenke and Ganguli 2018, Eq. 9)."""

    slope: float = 10.0


@dataclass(frozen=True)
class Sigmoid(Surrogate):
    """`slope sigma(slope x) (1 - sigma(slope x))`."""

    slope: float = 4.0

    def __call__(self, x: Any) -> Any:
        y = 1 / (math.e ** (x * -self.slope) + 1)
        return self.slope * y * (1 - y)


@dataclass(frozen=True)
class Triangular(Surrogate):
    """`max(0, 1 - |x| / width) / width`: a triangle of area 1."""

    width: float = 1.0

    def __call__(self, x: Any) -> Any:
        y = 1 - abs(x) * (1 / self.width)
        return (y > 0) * y * (1 / self.width)


@dataclass(frozen=True)
class Rectangular(Surrogate):
    """`1 / width` where `|x| < width / 2`: a box of area 1."""

    width: float = 1.0

    def __call__(self, x: Any) -> Any:
        return (abs(x) < self.width / 2) * (x * 0 + 1 / self.width)


@dataclass(frozen=True)
class ArcTan(Surrogate):
    """`(width / 2) / (1 + (pi width x / 2)^2)`, the derivative of `arctan(pi width x / 2) / pi`."""

    width: float = 2.0

    def __call__(self, x: Any) -> Any:
        y = x * (math.pi * self.width / 2)
        return (self.width / 2) / (y * y + 1)


@dataclass(frozen=True)
class Exponential(Surrogate):
    """`scale exp(-slope |x|)`."""

    slope: float = 5.0
    scale: float = 1.0

    def __call__(self, x: Any) -> Any:
        return math.e ** (abs(x) * -self.slope) * self.scale


@dataclass(frozen=True)
class Gaussian(Surrogate):
    """`exp(-x^2 / (2 sigma^2)) / (sigma sqrt(2 pi))`: a normal density."""

    sigma: float = 0.5

    def __call__(self, x: Any) -> Any:
        return _normal(x, self.sigma)


@dataclass(frozen=True)
class MultiGaussian(Surrogate):
    """`(1 + h) N(x; 0, sigma) - h N(x; sigma, s sigma) - h N(x; -sigma, s sigma)`, times `gamma`.

    h = 0.15, s = 6 and gamma = 0.5 are those of the source.
    """

    sigma: float = 0.5
    h: float = 0.15
    s: float = 6.0
    gamma: float = 0.5

    def __call__(self, x: Any) -> Any:
        wide = self.s * self.sigma
        sides = _normal(x - self.sigma, wide) + _normal(x + self.sigma, wide)
        return (_normal(x, self.sigma) * (1 + self.h) - sides * self.h) * self.gamma


@dataclass(frozen=True)
class TruncatedQuadratic(Surrogate):
    """`max(0, 1 + x / width)`: grows on above the threshold."""

    width: float = 1.0

    def __call__(self, x: Any) -> Any:
        y = 1 + x * (1 / self.width)
        return (y > 0) * y


@dataclass(frozen=True)
class StraightThrough(Surrogate):
    """`1` everywhere."""

    def __call__(self, x: Any) -> Any:
        return x * 0 + 1


def _normal(x: Any, sigma: float) -> Any:
    """Density of a normal distribution of mean 0."""
    return math.e ** (x * x * (-0.5 / sigma**2)) * (1 / (sigma * math.sqrt(2 * math.pi)))
