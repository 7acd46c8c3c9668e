"""CIFAR-10: photographs of 10 kinds of things, 32 x 32 pixels in 3 colours, 50,000 for training, 10,000 for testing.

Source: Krizhevsky, "Learning multiple layers of features from tiny images" (2009); no licence is stated. Read from the
binary version, in `cifar-10-batches-bin/` of the data folder: records of a label and 3 x 32 x 32 bytes. (The version
for Python is pickled, and nothing here unpickles.)
"""

from __future__ import annotations

import numpy as np

from seamount.errors import DataError
from seamount_models.downloads import Remote, fetch
from seamount_models.files import data_folder, locate
from seamount_models.images import image_dataset
from seamount_models.splits import Dataset

CLASSES = 10
SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
RECORDS = 10_000
"""In each file."""
FOLDER = "cifar-10-batches-bin"
FILES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
HOME = Remote(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    170_052_171,
    "md5:c32a1d4ab5d03f1284b67883e8d87530",
    tuple(f"{FOLDER}/{file}" for files in FILES.values() for file in files),
)
HINT = f"load it with download=True, or unpack {HOME.url} there."


def dataset(
    *, steps: int = 8, coding: str = "direct", seed: int = 0, flat: bool = False, download: bool = False
) -> Dataset:
    """Return CIFAR-10 as `[3, 32, 32]` intensities, or 3072 where `flat`; `download` fetches what is missing."""
    if download:
        fetch(HOME, data_folder() / FOLDER)
    arrays = {}
    for part, files in FILES.items():
        records = np.concatenate([_read(file) for file in files])
        arrays[f"y_{part}"] = records[:, 0]
        arrays[f"x_{part}"] = records[:, 1:].reshape(-1, *SHAPE)
    return image_dataset("cifar10", arrays, classes=CLASSES, steps=steps, coding=coding, seed=seed, flat=flat)


def _read(file: str) -> np.ndarray:
    """Records of one file, uint8 `[10000, 3073]`."""
    path = locate(f"{FOLDER}/{file}", HINT)
    size = path.stat().st_size
    if size != RECORDS * RECORD:
        raise DataError(f"{path}: has {size} bytes, expected {RECORDS * RECORD} ({RECORDS} records).")
    records = np.fromfile(path, np.uint8).reshape(RECORDS, RECORD)
    if int(records[:, 0].max()) >= CLASSES:
        at = int((records[:, 0] >= CLASSES).argmax())
        raise DataError(f"{path}: record {at} has label {records[at, 0]} (allowed 0..{CLASSES - 1}).")
    return records
