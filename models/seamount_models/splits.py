"""What a data set is made of: samples, labels, and how samples become network input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from seamount.errors import DataError
from seamount_models import encoders
from seamount_models.augmentation import shift_images
from seamount_models.encoders import Encoder, Samples
from seamount_models.events import Recordings

UNLABELLED = -1
"""Label of a step that counts for nothing, where labels are given per step."""


class InputType(NamedTuple):
    """What enters a network: `sm.lower(net, input_kind=kind, input_bound=bound)`.

    Attributes:
        kind: `"spike"` (uint8, 0 or 1), `"signed"` (int8) or `"graded"` (int32).
        bound: largest magnitude.
    """

    kind: str
    bound: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Split:
    """Samples that become network input on demand.

    Args:
        name: for messages, as in `digits.train`.
        x: samples: intensities `[n, *shape]` (float32 in 0..1, or uint8 that stands for `x / 255`), signals or spikes
            `[n, T, *shape]`, or recordings of events, in memory or in a file.
        y: labels, int64: `[n]` in 0..classes-1, or one a step, `[n, steps]`, with -1 where there is none.
        classes: number of classes.
        steps: time steps T of a coded sample.
        coding: what makes input of x: a name as `"rate"`, or one of `encoders`.
        seed: of the coding where `spikes` gets none.
        image: height and width, where x holds images row by row.
    """

    name: str
    x: Samples
    y: Tensor
    classes: int
    steps: int
    coding: str | Encoder = "rate"
    seed: int = 0
    image: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        shape, y = tuple(self.x.shape), self.y
        per_step = y.ndim == 2
        if len(shape) < 2 or y.dtype != torch.int64 or y.shape != (shape[0], self.steps)[: 1 + per_step]:
            raise DataError(
                f"{self.name}: x {shape} and y {y.dtype} {tuple(y.shape)} do not fit. "
                f"Hint: x [n, ...], y int64 [n], or [n, {self.steps}] with a label for each step."
            )
        lowest = UNLABELLED if per_step else 0
        if y.numel() and not lowest <= int(y.min()) <= int(y.max()) < self.classes:
            raise DataError(
                f"{self.name}: labels are {int(y.min())}..{int(y.max())} (allowed {lowest}..{self.classes - 1})."
            )

    def __len__(self) -> int:
        return len(self.y)

    @property
    def encoder(self) -> Encoder:
        """The coding, with its settings."""
        return encoders.named(self.coding)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one step of one sample."""
        return tuple(self.encoder.shape(tuple(self.x.shape)))

    @property
    def input(self) -> InputType:
        """Kind and bound of what enters a network."""
        return InputType(self.encoder.kind, self.encoder.bound)

    def spikes(
        self, indices: Tensor | Sequence[int] | None = None, seed: int | None = None, *, shift: int = 0
    ) -> Tensor:
        """Code samples.

        Args:
            indices: int64 `[B]`, which samples; default all. Mind the memory: T bytes per neuron and sample.
            seed: of the coding; default the split's. A sample's code depends on the seed and its index only.
            shift: move images by up to that many pixels first, each by its own draw of seed and index.

        Returns:
            `[T, B, *shape]`, uint8, int8 or int32 as the kind of `input` says.
        """
        indices = self._indices(torch.arange(len(self)) if indices is None else indices)
        seed = self.seed if seed is None else seed
        x = self.x[indices]
        if shift:
            x = self._shifted(x, shift, seed, indices)
        return self.encoder(x, self.steps, seed=seed, indices=indices)

    def batches(
        self, batch_size: int, *, shuffle: bool = False, seed: int | None = None, shift: int = 0,
        share: slice = slice(None),
    ) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
        """Yield input `[T, B, *shape]` as `spikes` gives it, and labels int64 `[B]` or `[T, B]`; each sample once.

        Args:
            batch_size: B; the last batch may be smaller.
            shuffle: draw the order from the seed.
            seed: of order, coding and shift; default the split's.
            shift: as in `spikes`.
            share: which samples of a batch to code, where several processes share it; labels are of the whole batch.
        """
        if batch_size < 1:
            raise DataError(f"{self.name}: batch_size = {batch_size} (allowed 1 or more).")
        seed = self.seed if seed is None else seed
        order = torch.arange(len(self))
        if shuffle:
            order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        for indices in order.split(batch_size):
            y = self.y[indices]
            yield self.spikes(indices[share], seed, shift=shift), y.T.contiguous() if y.ndim == 2 else y

    def subset(self, indices: Tensor | Sequence[int], name: str | None = None) -> Split:
        """Return a split of some samples, in that order; recordings in a file stay there."""
        indices = self._indices(indices)
        x = self.x[indices] if isinstance(self.x, Tensor) else _Picked(self.x, indices)
        return replace(self, name=name or self.name, x=x, y=self.y[indices])

    def hold_out(self, share: float, *, seed: int = 0) -> tuple[Split, Split]:
        """Part the split at random, the classes in proportion where a sample has one label.

        Args:
            share: of samples to hold out, above 0 and below 1.
            seed: of the draw.

        Returns:
            The rest, and what is held out, as for validation.
        """
        if not 0 < share < 1:
            raise DataError(f"{self.name}: share = {share:g} (allowed between 0 and 1).")
        generator = torch.Generator().manual_seed(seed)
        group = self.y if self.y.ndim == 1 else torch.zeros(len(self), dtype=torch.int64)
        held = torch.zeros(len(self), dtype=torch.bool)
        for one in group.unique():
            members = (group == one).nonzero()[:, 0]
            members = members[torch.randperm(len(members), generator=generator)]
            held[members[: round(share * len(members))]] = True
        rest, out = ((mask.nonzero()[:, 0]) for mask in (~held, held))
        return self.subset(rest), self.subset(out, f"{self.name}.held_out")

    def fold(self, number: int, folds: int) -> tuple[Split, Split]:
        """Part the split for cross-validation: over all numbers, each sample is tested on once.

        Within a class samples take turns, so that parts are equal in size and hold the classes alike.

        Args:
            number: which part, 0..folds-1.
            folds: parts, 2 or more.

        Returns:
            The rest, and the part.
        """
        if self.y.ndim != 1:
            raise DataError(f"{self.name}: has labels of each step. Hint: folds need one label a sample.")
        if folds < 2 or not 0 <= number < folds:
            raise DataError(f"{self.name}: fold = {number} (allowed 0..{folds - 1}) of {folds} (allowed 2 or more).")
        part = torch.empty_like(self.y)
        part[self.y.argsort(stable=True)] = torch.arange(len(self)) % folds
        rest, out = ((mask.nonzero()[:, 0]) for mask in (part != number, part == number))
        return self.subset(rest), self.subset(out, f"{self.name}.fold{number}")

    def _indices(self, indices: Tensor | Sequence[int]) -> Tensor:
        indices = torch.as_tensor(indices, dtype=torch.int64)
        if indices.ndim != 1 or (len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < len(self)):
            raise DataError(f"{self.name}: indices are not a list of numbers in 0..{len(self) - 1}.")
        return indices

    def _shifted(self, x: Tensor | Recordings, shift: int, seed: int, indices: Tensor) -> Tensor | Recordings:
        if isinstance(x, Recordings):
            return x.shifted(shift, seed=seed, indices=indices)
        if self.image is None:
            raise DataError(f"{self.name}: shift = {shift}, but the samples are not images.")
        height, width = self.image
        channels = x[0].numel() // (height * width) if len(x) else 1
        flat = x.reshape(-1, height * width)  # the channels of an image move together
        return shift_images(flat, self.image, shift, seed=seed, indices=indices.repeat_interleave(channels)).reshape(
            x.shape
        )


@dataclass(frozen=True, eq=False)
class _Picked:
    """Some of the samples, read when they are asked for."""

    samples: Samples
    indices: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self), *self.samples.shape[1:]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, indices: Tensor) -> Recordings:
        return self.samples[self.indices[indices]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """Splits of the same shape and classes.

    Args:
        name: as `datasets.load` knows it.
        train: to learn from.
        test: not looked at until the end.
        validation: to choose settings by, where the data set comes with one; else `Split.hold_out` makes one.
    """

    name: str
    train: Split
    test: Split
    validation: Split | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one step of one sample."""
        return self.train.shape

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.train.classes

    @property
    def input(self) -> InputType:
        """Kind and bound of what enters a network, for `sm.lower`."""
        return self.train.input
