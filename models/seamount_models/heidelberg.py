"""The Heidelberg spiking data sets: speech as spikes of 700 channels, in HDF5 files that are read batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seamount.errors import DataError
from seamount_models.downloads import Remote, fetch
from seamount_models.encoders import Frames
from seamount_models.events import Recordings
from seamount_models.files import data_folder, locate
from seamount_models.splits import Dataset, Split

CHANNELS = 700
HOME = "https://zenkelab.org/datasets"
LONGEST = 60.0
"""Seconds; an event after that is damage."""


def archive(name: str, size: int, md5: str) -> Remote:
    """A file `name.h5` at its home, zipped; `size` is the most it may have."""
    return Remote(f"{HOME}/{name}.h5.zip", size, f"md5:{md5}", (f"{name}.h5",))


@dataclass(frozen=True)
class Speech:
    """One of the data sets; called, it loads it.

    Args:
        name: of the data set; its files lie in the data folder, or in the folder there that tonic makes.
        classes: number of classes.
        duration_us: of each recording the first so many microseconds.
        archives: split -> its file.
    """

    name: str
    classes: int
    duration_us: int
    archives: dict[str, Remote]

    def __call__(self, *, steps: int = 100, seed: int = 0, bound: int = 1, download: bool = False) -> Dataset:
        """Return the recordings as frames `[700]`, `duration_us / steps` long.

        Args:
            steps: frames a recording.
            seed: of the split.
            bound: largest count of a channel in a frame.
            download: fetch what is missing.
        """
        if not 1 <= steps <= self.duration_us:
            raise DataError(f"{self.name}: steps = {steps} (allowed 1..{self.duration_us}, a microsecond each).")
        frames = Frames(-(-self.duration_us // steps), bound)

        def split(part: str) -> Split:
            recordings = self._open(self.archives[part], download)
            return Split(
                name=f"{self.name}.{part}", x=recordings, y=recordings.labels, classes=self.classes, steps=steps,
                coding=frames, seed=seed,
            )  # fmt: skip

        return Dataset(name=self.name, **{part: split(part) for part in self.archives})

    def _open(self, archive: Remote, download: bool) -> SpeechFile:
        (file,) = archive.files
        tonic = data_folder() / self.name.upper() / file
        if download and not tonic.is_file():
            fetch(archive, data_folder())
        hint = f"load it with download=True, or unpack {archive.url} there."
        return SpeechFile(locate(file, hint, elsewhere=[tonic]), self.classes)


class SpeechFile:
    """Recordings in an HDF5 file: `spikes/times` (seconds) and `spikes/units`, a row of any length each, and `labels`.

    Args:
        path: of the file, which stays open.
        classes: number of classes.

    Raises:
        DataError: h5py is missing, or the file is not of that form.
    """

    shape: tuple[int, ...]

    def __init__(self, path: Path, classes: int) -> None:
        self._path, h5py = path, _h5py(path)
        try:
            self._file = h5py.File(path, "r")
            self._times, self._units = (self._rows(h5py, name) for name in ("spikes/times", "spikes/units"))
            labels = self._file["labels"]
            if (
                labels.shape != (len(self._times),)
                or len(self._units) != len(self._times)
                or labels.dtype.kind not in "ui"
            ):
                raise DataError(
                    f"{path}: {len(self._times)} rows of times, {len(self._units)} of units and labels {labels.dtype} "
                    f"{labels.shape} do not fit."
                )
            self.labels = torch.from_numpy(labels[:].astype(np.int64))
        except (OSError, KeyError, AttributeError, TypeError, RuntimeError) as error:
            raise DataError(f"{path}: is not a readable file of the Heidelberg data sets ({error}).") from error
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < classes:
            raise DataError(
                f"{path}: labels are {int(self.labels.min())}..{int(self.labels.max())} (allowed 0..{classes - 1})."
            )
        self.shape = (len(self.labels), CHANNELS)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Tensor) -> Recordings:
        rows = [self._read(int(i)) for i in indices]
        return Recordings.of(str(self._path), [t for t, _ in rows], [u for _, u in rows], (CHANNELS,))

    def _read(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        try:
            seconds, units = self._times[i].astype(np.float64), self._units[i].astype(np.int64)
        except (OSError, RuntimeError) as error:
            raise DataError(f"{self._path}: recording {i} cannot be read ({error}).") from error
        if len(seconds) != len(units):
            raise DataError(f"{self._path}: recording {i} has {len(seconds)} times and {len(units)} units.")
        if not bool(((seconds >= 0) & (seconds < LONGEST)).all()):  # written so that NaN is refused too
            raise DataError(f"{self._path}: recording {i} has times outside 0..{LONGEST:g} s.")
        if not bool(((units >= 0) & (units < CHANNELS)).all()):
            raise DataError(f"{self._path}: recording {i} has units outside 0..{CHANNELS - 1}.")
        return np.round(seconds * 1e6).astype(np.uint32), units.astype(np.uint32)

    def _rows(self, h5py: Any, name: str) -> Any:
        rows = self._file[name]
        base = h5py.check_vlen_dtype(rows.dtype)
        if rows.ndim != 1 or base is None or np.dtype(base).kind not in "fui":
            raise DataError(f"{self._path}: {name} is {rows.dtype} {rows.shape}, expected rows of numbers.")
        return rows


def _h5py(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise DataError(f"{path}: reading HDF5 needs h5py. Hint: pip install 'seamount[data]'.") from error
    return h5py
