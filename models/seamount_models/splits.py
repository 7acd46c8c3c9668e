"""What a data set is made of: intensities, labels, and how they become spikes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seamount.errors import DataError
from seamount_models import coding
from seamount_models.augmentation import shift_images


@dataclass(frozen=True, eq=False, kw_only=True)
class Split:
    """Samples that are coded into spikes on demand.

    Args:
        name: for messages, as in `digits.train`.
        x: intensities `[n, *shape]`, float32 in 0..1 or uint8 that stands for `x / 255`.
        y: labels, int64 `[n]`, 0..classes-1.
        classes: number of classes.
        steps: time steps T of a coded sample.
        coding: `"rate"` or `"latency"`.
        seed: of the coding where `spikes` gets none.
        image: height and width, where x holds images row by row.
    """

    name: str
    x: Tensor
    y: Tensor
    classes: int
    steps: int
    coding: str = "rate"
    seed: int = 0
    image: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.x.ndim < 2 or self.y.shape != self.x.shape[:1] or self.y.dtype != torch.int64:
            raise DataError(
                f"{self.name}: x {tuple(self.x.shape)} and y {self.y.dtype} {tuple(self.y.shape)} do not fit. "
                "Hint: x [n, ...], y int64 [n]."
            )
        if len(self.y) and not 0 <= int(self.y.min()) <= int(self.y.max()) < self.classes:
            raise DataError(
                f"{self.name}: labels are {int(self.y.min())}..{int(self.y.max())} (allowed 0..{self.classes - 1})."
            )

    def __len__(self) -> int:
        return len(self.y)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one step of one sample."""
        return tuple(self.x.shape[1:])

    def spikes(
        self, indices: Tensor | Sequence[int] | None = None, seed: int | None = None, *, shift: int = 0
    ) -> Tensor:
        """Code samples.

        Args:
            indices: int64 `[B]`, which samples; default all. Mind the memory: T bytes per neuron and sample.
            seed: of the coding; default the split's. A sample's code depends on the seed and its index only.
            shift: move images by up to that many pixels first, each by its own draw of seed and index.

        Returns:
            uint8 `[T, B, *shape]`.
        """
        indices = torch.arange(len(self)) if indices is None else torch.as_tensor(indices, dtype=torch.int64)
        if indices.ndim != 1 or (len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < len(self)):
            raise DataError(f"{self.name}: indices are not a list of numbers in 0..{len(self) - 1}.")
        seed = self.seed if seed is None else seed
        x = self.x[indices]
        if shift:
            if self.image is None:
                raise DataError(f"{self.name}: shift = {shift}, but the samples are not images.")
            x = shift_images(x, self.image, shift, seed=seed, indices=indices)
        return coding.encode(self.coding, x, self.steps, seed=seed, indices=indices)

    def batches(
        self, batch_size: int, *, shuffle: bool = False, seed: int | None = None, shift: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield `(spikes uint8 [T, B, *shape], labels int64 [B])`, each sample once.

        Args:
            batch_size: B; the last batch may be smaller.
            shuffle: draw the order from the seed.
            seed: of order, coding and shift; default the split's.
            shift: as in `spikes`.
        """
        if batch_size < 1:
            raise DataError(f"{self.name}: batch_size = {batch_size} (allowed 1 or more).")
        seed = self.seed if seed is None else seed
        order = torch.arange(len(self))
        if shuffle:
            order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        for indices in order.split(batch_size):
            yield self.spikes(indices, seed, shift=shift), self.y[indices]


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """A training and a test split of the same shape and classes."""

    name: str
    train: Split
    test: Split

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one step of one sample."""
        return self.train.shape

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.train.classes
