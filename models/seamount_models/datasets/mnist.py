"""MNIST: handwritten digits, 28 x 28 pixels, 60,000 for training and 10,000 for testing.

Source: LeCun and Cortes, "The MNIST database of handwritten digits" (CC BY-SA 3.0). Read from `mnist_70k.npz` in the
data folder (uint8 x_train [60000, 28, 28], y_train [60000], x_test [10000, 28, 28], y_test [10000]), else from the four
idx.gz files in `mnist/`.
"""

from __future__ import annotations

import numpy as np

from seamount_models.files import data_folder, read_npz
from seamount_models.images import SIDE, IdxHome, image_dataset
from seamount_models.splits import Dataset

CLASSES = 10
FILE = "mnist_70k.npz"
HOME = IdxHome(
    "mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
)


def dataset(
    *, steps: int = 16, coding: str = "rate", seed: int = 0, flat: bool = True, download: bool = False
) -> Dataset:
    """Return MNIST as 784 intensities, `[1, 28, 28]` where not `flat`; `download` fetches what is missing."""
    arrays = _read_npz() if (data_folder() / FILE).is_file() else HOME.read(download=download)
    return image_dataset("mnist", arrays, classes=CLASSES, steps=steps, coding=coding, seed=seed, flat=flat)


def _read_npz() -> dict[str, np.ndarray]:
    pixel, want = np.dtype(np.uint8), {}
    for part, n in zip(("train", "test"), HOME.samples, strict=True):
        want |= {f"x_{part}": (pixel, (n, SIDE, SIDE)), f"y_{part}": (pixel, (n,))}
    return read_npz(FILE, want, "")
