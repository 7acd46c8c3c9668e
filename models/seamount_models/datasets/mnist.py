"""MNIST: handwritten digits, 28 x 28 pixels, 60,000 for training and 10,000 for testing.

Source: LeCun and Cortes, "The MNIST database of handwritten digits" (CC BY-SA 3.0). Read from `mnist_70k.npz` in the
data folder: uint8 x_train [60000, 28, 28], y_train [60000], x_test [10000, 28, 28], y_test [10000].
"""

from __future__ import annotations

import numpy as np
import torch

from seamount_models.files import read_npz
from seamount_models.splits import Dataset, Split

CLASSES = 10
TRAIN, TEST, SIDE = 60_000, 10_000, 28
HINT = "save MNIST there with numpy.savez: uint8 x_train, y_train, x_test, y_test, images [n, 28, 28]."


def dataset(*, steps: int, coding: str, seed: int) -> Dataset:
    """Return MNIST as 784 intensities."""
    pixel = np.dtype(np.uint8)
    content = read_npz(
        "mnist_70k.npz",
        {
            f"{what}_{part}": (pixel, (n, SIDE, SIDE) if what == "x" else (n,))
            for part, n in (("train", TRAIN), ("test", TEST))
            for what in "xy"
        },
        HINT,
    )

    def split(part: str) -> Split:
        x = torch.from_numpy(content[f"x_{part}"]).flatten(1)
        y = torch.from_numpy(content[f"y_{part}"]).long()
        return Split(
            name=f"mnist.{part}",
            x=x,
            y=y,
            classes=CLASSES,
            steps=steps,
            coding=coding,
            seed=seed,
            image=(SIDE, SIDE),
        )

    return Dataset(name="mnist", train=split("train"), test=split("test"))
