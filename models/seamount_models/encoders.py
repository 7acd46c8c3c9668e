"""Codings bound to their settings: what makes network input of a data set's samples.

A split holds samples and an encoder, and never asks what kind either is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor

from seamount.errors import DataError
from seamount_models import coding
from seamount_models.events import Recordings


class Samples(Protocol):
    """Samples that can be picked by their indices: a tensor `[n, ...]`, or recordings that lie in a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Tensor, /) -> Any: ...


class Encoder(ABC):
    """Makes the input `[T, B, *shape]` of a network from samples.

    Attributes:
        kind: as of a graph's Input: `"spike"` (uint8, 0 or 1), `"signed"` (int8) or `"graded"` (int32).
        bound: largest magnitude of the input.
    """

    kind: ClassVar[str] | str = "spike"
    bound: ClassVar[int] | int = 1

    @abstractmethod
    def __call__(self, x: Any, steps: int, *, seed: int, indices: Tensor) -> Tensor:
        """Encode the samples `x`, whose places in the split are `indices` (int64 `[B]`)."""

    def shape(self, samples: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one step of one sample, from the shape of all samples."""
        return samples[1:]


@dataclass(frozen=True)
class Rate(Encoder):
    """`coding.rate` of intensities."""

    def __call__(self, x: Tensor, steps: int, *, seed: int, indices: Tensor) -> Tensor:
        return coding.rate(x, steps, seed=seed, indices=indices)


@dataclass(frozen=True)
class Count(Encoder):
    """`coding.count` of intensities."""

    def __call__(self, x: Tensor, steps: int, *, seed: int, indices: Tensor) -> Tensor:
        return coding.count(x, steps, seed=seed, indices=indices)


@dataclass(frozen=True)
class Latency(Encoder):
    """`coding.latency` of intensities."""

    threshold: float = 0.0

    def __call__(self, x: Tensor, steps: int, *, seed: int, indices: Tensor) -> Tensor:
        return coding.latency(x, steps, threshold=self.threshold)


@dataclass(frozen=True)
class Population(Encoder):
    """`coding.population` of intensities, its activations coded by `code`; `units` neurons a value, last dimension.

    With latencies, neurons whose activation is 0.1 or less stay silent, as in the source of the code.
    """

    units: int = 8
    code: Encoder = Latency(0.1)

    def __call__(self, x: Tensor, steps: int, *, seed: int, indices: Tensor) -> Tensor:
        return self.code(coding.population(x, self.units), steps, seed=seed, indices=indices)

    def shape(self, samples: tuple[int, ...]) -> tuple[int, ...]:
        return *samples[1:], self.units


@dataclass(frozen=True)
class Direct(Encoder):
    """`coding.direct` of intensities. The default of 4 bits leaves a chip's accumulator room for many inputs."""

    bound: int = 15
    kind: ClassVar[str] = "graded"

    def __call__(self, x: Tensor, steps: int, *, seed: int, indices: Tensor) -> Tensor:
        return coding.direct(x, steps, bound=self.bound)


@dataclass(frozen=True)
class Delta(Encoder):
    """`coding.delta` of signals `[n, T, *shape]`, signed; of each the first `steps` steps."""

    threshold: float
    kind: ClassVar[str] = "signed"

    def __call__(self, x: Tensor, steps: int, *, seed: int, indices: Tensor) -> Tensor:
        return coding.delta(_first(x, steps), self.threshold)

    def shape(self, samples: tuple[int, ...]) -> tuple[int, ...]:
        return samples[2:]


@dataclass(frozen=True)
class AsIs(Encoder):
    """Samples that are network input already, `[n, T, *shape]`; of each the first `steps` steps."""

    kind: str = "spike"
    bound: int = 1

    def __call__(self, x: Tensor, steps: int, *, seed: int, indices: Tensor) -> Tensor:
        return _first(x, steps).transpose(0, 1).contiguous()

    def shape(self, samples: tuple[int, ...]) -> tuple[int, ...]:
        return samples[2:]


@dataclass(frozen=True)
class Frames(Encoder):
    """Event streams counted in windows of one length.

    `s[t, i] = min(bound, number of events of unit i with t = floor(time / window_us))`; later events are left out.

    Args:
        window_us: length of a step in microseconds.
        bound: 1 for spikes (was there an event?); above 1 the input is a graded count.
    """

    window_us: int
    bound: int = 1

    @property
    def kind(self) -> str:
        return "spike" if self.bound == 1 else "graded"

    def __call__(self, x: Recordings, steps: int, *, seed: int, indices: Tensor) -> Tensor:
        return x.frames(steps, self.window_us, self.bound)


ENCODERS: dict[str, Encoder] = {
    "count": Count(),
    "direct": Direct(),
    "latency": Latency(),
    "population": Population(),
    "rate": Rate(),
}
"""Codings of intensities by name, with their default settings."""


def named(name: str | Encoder) -> Encoder:
    """Return the encoder of that name; an encoder is returned as it is.

    Raises:
        DataError: there is none of that name.
    """
    if isinstance(name, Encoder):
        return name
    if name not in ENCODERS:
        raise DataError(f"{name}: no such coding. There are: {', '.join(ENCODERS)}.")
    return ENCODERS[name]


def _first(x: Tensor, steps: int) -> Tensor:
    if not 1 <= steps <= x.shape[1]:
        raise DataError(f"coding: steps = {steps} (allowed 1..{x.shape[1]}, what the samples hold).")
    return x[:, :steps]
