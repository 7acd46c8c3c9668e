"""N-MNIST, its first 1000 training and 100 test recordings: MNIST digits before a moving event camera.

34 x 34 pixels, 2 polarities, up to 336 ms. Source: Orchard et al., "Converting static image datasets to spiking
neuromorphic datasets using saccades" (Frontiers in Neuroscience 2015), CC BY-SA 4.0. Read from
`nmnist_small_1100.npz`: for `train` and `test` the events `_x`, `_y`, `_p` (uint8) and `_t_us` (uint32), recording
after recording, with `_offsets` (int64 [n + 1]) and `_labels` (uint8 [n]).
"""

from __future__ import annotations

import numpy as np
import torch

from seamount.errors import DataError
from seamount_models.encoders import Frames
from seamount_models.events import Recordings, sensor_units
from seamount_models.files import read_npz
from seamount_models.splits import Dataset, Split

CLASSES = 10
SENSOR = (2, 34, 34)
DURATION_US = 340_000
"""Every recording ends before."""
RECORDINGS = {"train": 1000, "test": 100}
FOLDS = 5
FILE = "nmnist_small_1100.npz"
HINT = (
    "save the first 1000 training and 100 test recordings of N-MNIST (garrickorchard.com/datasets/n-mnist) there with "
    "numpy.savez: {train,test}_{x,y,p} uint8, _t_us uint32, _offsets int64 [n + 1], _labels uint8 [n]."
)


def dataset(*, steps: int = 34, seed: int = 0, fold: int | None = None, bound: int = 1) -> Dataset:
    """Return N-MNIST as frames `[2, 34, 34]`, polarity first, binned when a batch is asked for.

    Args:
        steps: frames a recording; a frame is 340 ms / steps long.
        seed: nothing is drawn; taken as every data set takes it.
        fold: 0..4: test on that fifth of all 1100 recordings and train on the rest. The test recordings are too few
            to tell two networks apart; 5-fold evaluation uses each recording as a test once.
        bound: largest count in a pixel of a frame; 1 asks only whether there was an event.
    """
    if not 1 <= steps <= DURATION_US:
        raise DataError(f"nmnist: steps = {steps} (allowed 1..{DURATION_US}).")
    if fold is not None and not 0 <= fold < FOLDS:
        raise DataError(f"nmnist: fold = {fold} (allowed 0..{FOLDS - 1}).")
    recordings, labels = _read()
    y = torch.from_numpy(labels).long()
    whole = Split(
        name="nmnist",
        x=recordings,
        y=y,
        classes=CLASSES,
        steps=steps,
        coding=Frames(-(-DURATION_US // steps), bound),
        seed=seed,
    )
    test = torch.arange(len(y)) >= RECORDINGS["train"] if fold is None else _folds(y) == fold
    train, test = (
        whole.subset(mask.nonzero()[:, 0], f"nmnist.{part}") for part, mask in (("train", ~test), ("test", test))
    )
    return Dataset(name="nmnist", train=train, test=test)


def _folds(y: torch.Tensor) -> torch.Tensor:
    """The fold of each recording: within a class they take turns, so that the folds hold the classes alike."""
    fold = torch.empty_like(y)
    given = 0
    for c in range(CLASSES):
        members = (y == c).nonzero()[:, 0]
        fold[members] = (given + torch.arange(len(members))) % FOLDS  # go on where the last class stopped: equal sizes
        given += len(members)
    return fold


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
