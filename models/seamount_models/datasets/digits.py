"""Handwritten digits, 8 x 8 pixels: 1437 for training, 360 for testing; comes with scikit-learn.

Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI 1998 (CC BY 4.0), test part.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from seamount_models.splits import Dataset, Split

CLASSES, SIDE = 10, 8
BRIGHTEST = 16
"""Pixels are counts 0..16 of a 4 x 4 block."""


def dataset(*, steps: int = 16, coding: str = "rate", seed: int = 0) -> Dataset:
    """Return digits as 64 intensities, split 80/20 with the classes in proportion."""
    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x / BRIGHTEST, y, test_size=0.2, stratify=y, random_state=0)
    x_train, x_test, y_train, y_test = (torch.from_numpy(part) for part in parts)

    def split(part: str, x: torch.Tensor, y: torch.Tensor) -> Split:
        return Split(
            name=f"digits.{part}",
            x=x.float(),
            y=y.long(),
            classes=CLASSES,
            steps=steps,
            coding=coding,
            seed=seed,
            image=(SIDE, SIDE),
        )

    return Dataset(name="digits", train=split("train", x_train, y_train), test=split("test", x_test, y_test))
