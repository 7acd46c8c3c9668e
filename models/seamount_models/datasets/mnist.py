"""MNIST: handwritten digits, 28 x 28 pixels, 60,000 for training and 10,000 for testing.

Source: LeCun and Cortes, "The MNIST database of handwritten digits" (CC BY-SA 3.0). Read from `mnist_70k.npz` in the
data folder: uint8 x_train [60000, 28, 28], y_train [60000], x_test [10000, 28, 28], y_test [10000].
"""

from __future__ import annotations

import numpy as np

from seamount_models.files import read_npz
from seamount_models.images import image_dataset
from seamount_models.splits import Dataset

CLASSES = 10
TRAIN, TEST, SIDE = 60_000, 10_000, 28
HINT = "save MNIST there with numpy.savez: uint8 x_train, y_train, x_test, y_test, images [n, 28, 28]."


def dataset(*, steps: int = 16, coding: str = "rate", seed: int = 0, flat: bool = True) -> Dataset:
    """Return MNIST as 784 intensities, or `[1, 28, 28]` where not `flat`."""
    pixel = np.dtype(np.uint8)
    arrays = read_npz(
        "mnist_70k.npz",
        {
            f"{what}_{part}": (pixel, (n, SIDE, SIDE) if what == "x" else (n,))
            for part, n in (("train", TRAIN), ("test", TEST))
            for what in "xy"
        },
        HINT,
    )
    return image_dataset("mnist", arrays, classes=CLASSES, steps=steps, coding=coding, seed=seed, flat=flat)
