"""Event streams: who fired when, and how that becomes frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numba import njit
from torch import Tensor

from seamount.errors import DataError
from seamount_models.augmentation import shift_offsets


@njit(cache=True, nogil=True)
def _count(times, units, offsets, window, bound, frames):
    """`frames[t, b, unit]` = number of events, at most `bound`."""
    steps = frames.shape[0]
    for b in range(offsets.shape[0] - 1):
        for i in range(offsets[b], offsets[b + 1]):
            t = times[i] // window
            if t < steps and frames[t, b, units[i]] < bound:
                frames[t, b, units[i]] += 1


@njit(cache=True, nogil=True)
def _gather(begin, end, times, units, offsets, out_times, out_units):
    for b in range(begin.shape[0]):
        length = end[b] - begin[b]
        for i in range(length):
            out_times[offsets[b] + i] = times[begin[b] + i]
            out_units[offsets[b] + i] = units[begin[b] + i]


@dataclass(frozen=True, eq=False, kw_only=True)
class Recordings:
    """Recordings of n samples, one after the other.

    Args:
        name: of the file, for messages.
        times_us: uint32 `[events]`, microseconds since the recording began.
        units: uint16 or uint32 `[events]`, row-major place in `unit_shape`.
        offsets: int64 `[n + 1]`, recording b is `offsets[b]..offsets[b + 1]`.
        unit_shape: of one frame, as `(2, 34, 34)`: polarity, row, column.

    Raises:
        DataError: what is written there cannot be; names the first recording at fault.
    """

    name: str
    times_us: np.ndarray
    units: np.ndarray
    offsets: np.ndarray
    unit_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        events, offsets = len(self.times_us), self.offsets
        if self.units.shape != (events,):
            raise DataError(f"{self.name}: {events} times for {len(self.units)} units.")
        if offsets.ndim != 1 or not len(offsets) or offsets[0] != 0 or offsets[-1] != events:
            raise DataError(f"{self.name}: the offsets of the recordings do not run from 0 to {events} events.")
        if bool((wrong := np.diff(offsets) < 0).any()):
            raise DataError(f"{self.name}: recording {int(wrong.argmax())} ends before it begins.")
        size = math.prod(self.unit_shape)
        if events and int(self.units.max()) >= size:
            at = int((self.units >= size).argmax())
            sample = int(np.searchsorted(offsets, at, side="right")) - 1
            raise DataError(
                f"{self.name}: recording {sample} has an event of unit {int(self.units[at])} (allowed 0..{size - 1})."
            )

    @classmethod
    def of(
        cls, name: str, times_us: Sequence[np.ndarray], units: Sequence[np.ndarray], unit_shape: tuple[int, ...]
    ) -> Recordings:
        """Put recordings together, each with its own times and units."""
        lengths = [len(one) for one in times_us]
        return cls(
            name=name,
            times_us=np.concatenate([np.empty(0, np.uint32), *times_us], dtype=np.uint32),
            units=np.concatenate([np.empty(0, np.uint32), *units], dtype=np.uint32),
            offsets=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
            unit_shape=unit_shape,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self), *self.unit_shape

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, indices: Tensor) -> Recordings:
        picked = indices.numpy()
        begin, end = self.offsets[picked], self.offsets[picked + 1]
        offsets = np.concatenate([[0], np.cumsum(end - begin)])
        times, units = np.empty(offsets[-1], self.times_us.dtype), np.empty(offsets[-1], self.units.dtype)
        _gather(begin, end, self.times_us, self.units, offsets, times, units)
        return Recordings(name=self.name, times_us=times, units=units, offsets=offsets, unit_shape=self.unit_shape)

    def frames(self, steps: int, window_us: int, bound: int) -> Tensor:
        """Count the events of each unit in each window.

        Args:
            steps: windows T; events after the last are left out.
            window_us: length of one.
            bound: the count stops there.

        Returns:
            `[T, n, *unit_shape]`, uint8 where the bound is 1, else int32.
        """
        if steps < 1 or window_us < 1 or not 1 <= bound < 2**24:
            raise DataError(
                f"{self.name}: steps = {steps}, window_us = {window_us}, bound = {bound} "
                "(allowed 1 or more, bound below 2^24)."
            )
        dtype = np.uint8 if bound == 1 else np.int32
        frames = np.zeros((steps, len(self), math.prod(self.unit_shape)), dtype)
        _count(self.times_us, self.units, self.offsets, window_us, bound, frames)
        return torch.from_numpy(frames).reshape(steps, *self.shape)

    def shifted(self, pixels: int, *, seed: int, indices: Tensor) -> Recordings:
        """Move each recording by up to `pixels` rows and columns, as `augmentation.shift_images` moves images."""
        if len(self.unit_shape) < 2:
            raise DataError(f"{self.name}: shift = {pixels}, but the samples are not images.")
        height, width = self.unit_shape[-2:]
        top, left = (np.repeat(o, np.diff(self.offsets)) for o in shift_offsets(pixels, seed=seed, indices=indices))
        channel, place = np.divmod(self.units.astype(np.int64), height * width)
        row, column = np.divmod(place, width)
        row, column = row + top, column + left
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        kept = np.concatenate([[0], np.cumsum(inside)])
        return Recordings(
            name=self.name,
            times_us=self.times_us[inside],
            units=((channel * height + row) * width + column)[inside].astype(self.units.dtype),
            offsets=kept[self.offsets],
            unit_shape=self.unit_shape,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class RecordingFiles:
    """Recordings, a file each, read when they are asked for.

    Args:
        name: for messages.
        files: one a sample.
        unit_shape: as of `Recordings`.
        read: from a file to its times in microseconds and its units.
    """

    name: str
    files: Sequence[Path]
    unit_shape: tuple[int, ...]
    read: Callable[[Path], tuple[np.ndarray, np.ndarray]]

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self), *self.unit_shape

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, indices: Tensor) -> Recordings:
        rows = [self.read(self.files[int(i)]) for i in indices]
        return Recordings.of(self.name, [times for times, _ in rows], [units for _, units in rows], self.unit_shape)


def sensor_units(
    name: str, sensor: tuple[int, int, int], polarity: np.ndarray, row: np.ndarray, column: np.ndarray
) -> np.ndarray:
    """Return the unit of each event of a camera, `(p height + row) width + column`.

    Args:
        name: of the file, for messages.
        sensor: polarities, height and width.
        polarity, row, column: integers `[events]`.

    Raises:
        DataError: the arrays differ in length, or an event lies off the sensor.
    """
    if not polarity.shape == row.shape == column.shape:
        raise DataError(f"{name}: {len(polarity)} polarities, {len(row)} rows and {len(column)} columns of events.")
    for what, values, size in zip(("p", "y", "x"), (polarity, row, column), sensor, strict=True):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < size:
            at = int(((values < 0) | (values >= size)).argmax())
            raise DataError(f"{name}: event {at} has {what} = {int(values[at])} (allowed 0..{size - 1}).")
    units = polarity.astype(np.uint16 if math.prod(sensor) <= 2**16 else np.uint32)
    for values, size in ((row, sensor[1]), (column, sensor[2])):
        units *= size
        units += values.astype(units.dtype)
    return units
