"""Data sets of images: the same two splits each time."""

from __future__ import annotations

import numpy as np
import torch

from seamount_models.encoders import Encoder
from seamount_models.splits import Dataset, Split


def image_dataset(
    name: str,
    arrays: dict[str, np.ndarray],
    *,
    classes: int,
    steps: int,
    coding: str | Encoder,
    seed: int,
    flat: bool,
) -> Dataset:
    """Return images and labels as a data set of intensities.

    Args:
        name: of the data set.
        arrays: uint8 x_train and x_test, `[n, height, width]` or `[n, channels, height, width]`; y_train and y_test.
        classes: number of classes.
        steps, coding, seed: as in `Split`.
        flat: one row of intensities an image, for fully connected networks; else `[channels, height, width]`.
    """

    def split(part: str) -> Split:
        x = torch.from_numpy(arrays[f"x_{part}"])
        height, width = x.shape[-2:]
        return Split(
            name=f"{name}.{part}",
            x=x.flatten(1) if flat else x.reshape(len(x), -1, height, width),
            y=torch.from_numpy(arrays[f"y_{part}"]).long(),
            classes=classes,
            steps=steps,
            coding=coding,
            seed=seed,
            image=(height, width),
        )

    return Dataset(name=name, train=split("train"), test=split("test"))
