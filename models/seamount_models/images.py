"""Data sets of images: the same two splits each time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from seamount_models.downloads import Remote, fetch
from seamount_models.encoders import Encoder
from seamount_models.files import data_folder, locate, read_idx
from seamount_models.splits import Dataset, Split

SIDE = 28
"""Height and width of the images of MNIST and its like."""


@dataclass(frozen=True)
class IdxHome:
    """Where the four idx.gz files of MNIST, or of a data set made like it, come from.

    Args:
        folder: within the data folder.
        url: of their home, without the file's name.
        md5: of the files, in the order of `FILES`.
        samples: of the training and of the test split.
        elsewhere: another folder that may hold them.
        hint: a further way to come by them.
    """

    folder: str
    url: str
    md5: tuple[str, str, str, str]
    samples: tuple[int, int] = (60_000, 10_000)
    elsewhere: Path | None = None
    hint: str = ""

    FILES: ClassVar = {
        "x_train": "train-images-idx3-ubyte.gz",
        "y_train": "train-labels-idx1-ubyte.gz",
        "x_test": "t10k-images-idx3-ubyte.gz",
        "y_test": "t10k-labels-idx1-ubyte.gz",
    }
    LARGEST: ClassVar = 2**25
    """None of the files has more bytes."""

    def read(self, *, download: bool) -> dict[str, np.ndarray]:
        """Return uint8 x_train, x_test `[n, 28, 28]`, y_train and y_test `[n]`; `download` fetches what is missing."""
        hint = f"load it with download=True{self.hint}, or put the four files of {self.url} there."
        arrays = {}
        for (name, file), md5 in zip(self.FILES.items(), self.md5, strict=True):
            elsewhere = [] if self.elsewhere is None else [self.elsewhere / file]
            if download and not any(path.is_file() for path in elsewhere):
                fetch(Remote(f"{self.url}/{file}", self.LARGEST, f"md5:{md5}"), data_folder() / self.folder)
            n = self.samples[name.endswith("test")]
            path = locate(f"{self.folder}/{file}", hint, elsewhere=elsewhere)
            arrays[name] = read_idx(path, (n, SIDE, SIDE) if name[0] == "x" else (n,))
        return arrays


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
