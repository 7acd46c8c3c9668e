"""N-MNIST: MNIST digits before a moving event camera; its first 1000 training and 100 test recordings, or all.

34 x 34 pixels, 2 polarities, up to 336 ms. Source: Orchard et al., "Converting static image datasets to spiking
neuromorphic datasets using saccades" (Frontiers in Neuroscience 2015), CC BY-SA 4.0. The first recordings are read from
`nmnist_small_1100.npz`: for `train` and `test` the events `_x`, `_y`, `_p` (uint8) and `_t_us` (uint32), recording
after recording, with `_offsets` (int64 [n + 1]) and `_labels` (uint8 [n]). All 70,000 are read from the files of the
data set's home, `NMNIST/Train/<digit>/<number>.bin` and `NMNIST/Test/...` in the data folder, as by tonic.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from seamount.errors import DataError
from seamount_models.encoders import Frames
from seamount_models.events import RecordingFiles, Recordings, sensor_units
from seamount_models.files import data_folder, read_npz
from seamount_models.splits import Dataset, Split

CLASSES = 10
SENSOR = (2, 34, 34)
DURATION_US = 340_000
"""Every recording ends before."""
RECORDINGS = {"train": 1000, "test": 100}
FOLDS = 5
FILE = "nmnist_small_1100.npz"
FOLDERS = {"train": "NMNIST/Train", "test": "NMNIST/Test"}
EVENT_BYTES = 5
"""An event of a .bin file: 8 bits column, 8 bits row, 1 bit polarity, 23 bits microseconds; the highest bits first."""
HINT = (
    "save the first 1000 training and 100 test recordings of N-MNIST (garrickorchard.com/datasets/n-mnist) there with "
    "numpy.savez: {train,test}_{x,y,p} uint8, _t_us uint32, _offsets int64 [n + 1], _labels uint8 [n]."
)


def dataset(*, steps: int = 34, seed: int = 0, fold: int | None = None, bound: int = 1, full: bool = False) -> Dataset:
    """Return N-MNIST as frames `[2, 34, 34]`, polarity first, binned when a batch is asked for.

    Args:
        steps: frames a recording; a frame is 340 ms / steps long.
        seed: nothing is drawn; taken as every data set takes it.
        fold: 0..4: test on that fifth of all 1100 recordings and train on the rest. The test recordings are too few
            to tell two networks apart; 5-fold evaluation uses each recording as a test once.
        bound: largest count in a pixel of a frame; 1 asks only whether there was an event.
        full: take all 70,000 recordings, each read from its file when a batch needs it.
    """
    if not 1 <= steps <= DURATION_US:
        raise DataError(f"nmnist: steps = {steps} (allowed 1..{DURATION_US}).")
    coding = Frames(-(-DURATION_US // steps), bound)
    if full:
        if fold is not None:
            raise DataError("nmnist: full and fold exclude each other; all recordings come with a test split.")
        train, test = (_full(part, steps, coding, seed) for part in FOLDERS)
        return Dataset(name="nmnist", train=train, test=test)
    recordings, labels = _read()
    y = torch.from_numpy(labels).long()
    whole = Split(
        name="nmnist",
        x=recordings,
        y=y,
        classes=CLASSES,
        steps=steps,
        coding=coding,
        seed=seed,
    )
    if fold is None:
        train, test = whole.subset(range(RECORDINGS["train"])), whole.subset(range(RECORDINGS["train"], len(y)))
    else:
        train, test = whole.fold(fold, FOLDS)
    return Dataset(name="nmnist", train=replace(train, name="nmnist.train"), test=replace(test, name="nmnist.test"))


def _read() -> tuple[Recordings, np.ndarray]:
    byte, time, offset = np.dtype(np.uint8), np.dtype(np.uint32), np.dtype(np.int64)
    want = {}
    for part, n in RECORDINGS.items():
        want |= {f"{part}_{what}": (byte, (None,)) for what in "xyp"}
        want |= {f"{part}_t_us": (time, (None,)), f"{part}_offsets": (offset, (n + 1,)), f"{part}_labels": (byte, (n,))}
    arrays = read_npz(FILE, want, HINT)
    parts = []
    for part in RECORDINGS:
        polarity, row, column = (arrays.pop(f"{part}_{what}") for what in "pyx")
        parts.append(
            Recordings(
                name=f"{FILE}, {part}",
                times_us=arrays[f"{part}_t_us"],
                units=sensor_units(f"{FILE}, {part}", SENSOR, polarity, row, column),
                offsets=arrays[f"{part}_offsets"],
                unit_shape=SENSOR,
            )
        )
    train, test = parts
    whole = Recordings(
        name=FILE,
        times_us=np.concatenate([train.times_us, test.times_us]),
        units=np.concatenate([train.units, test.units]),
        offsets=np.concatenate([train.offsets, train.offsets[-1] + test.offsets[1:]]),
        unit_shape=SENSOR,
    )
    return whole, np.concatenate([arrays["train_labels"], arrays["test_labels"]])


def _full(part: str, steps: int, coding: Frames, seed: int) -> Split:
    folder = data_folder() / FOLDERS[part]
    files = sorted(folder.glob("[0-9]/*.bin"))
    if not files:
        raise DataError(
            f"{folder}: holds no recordings, <digit>/*.bin. Hint: unpack Train.zip and Test.zip of N-MNIST "
            "(garrickorchard.com/datasets/n-mnist) there. The environment variable SEAMOUNT_DATA names the data folder."
        )
    return Split(
        name=f"nmnist.{part}",
        x=RecordingFiles(name=str(folder), files=files, unit_shape=SENSOR, read=_read_bin),
        y=torch.tensor([int(file.parent.name) for file in files]),
        classes=CLASSES,
        steps=steps,
        coding=coding,
        seed=seed,
    )


def _read_bin(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times in microseconds and units of the events in a file."""
    try:
        content = np.fromfile(file, np.uint8)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error}).") from error
    if len(content) % EVENT_BYTES:
        raise DataError(f"{file}: is cut short ({len(content)} bytes, an event has {EVENT_BYTES}).")
    column, row, high, middle, low = content.reshape(-1, EVENT_BYTES).T
    times = (high & 0x7F).astype(np.uint32) << 16 | middle.astype(np.uint32) << 8 | low
    return times, sensor_units(str(file), SENSOR, high >> 7, row, column)
