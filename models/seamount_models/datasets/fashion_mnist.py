"""Fashion-MNIST: pictures of clothes, 28 x 28 pixels, 10 kinds, 60,000 for training and 10,000 for testing.

Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms"
(arXiv:1708.07747), MIT licence. Read from the four idx.gz files, in `fashion-mnist/` of the data folder or where
Debian's package `dataset-fashion-mnist` puts them.
"""

from __future__ import annotations

from pathlib import Path

from seamount_models.images import IdxHome, image_dataset
from seamount_models.splits import Dataset

CLASSES = 10
HOME = IdxHome(
    "fashion-mnist",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    elsewhere=Path("/usr/share/datasets/fashion-mnist"),
    hint=", install Debian's package dataset-fashion-mnist",
)


def dataset(
    *, steps: int = 16, coding: str = "rate", seed: int = 0, flat: bool = True, download: bool = False
) -> Dataset:
    """Return Fashion-MNIST as 784 intensities, `[1, 28, 28]` where not `flat`; `download` fetches what is missing."""
    arrays = HOME.read(download=download)
    return image_dataset("fashion_mnist", arrays, classes=CLASSES, steps=steps, coding=coding, seed=seed, flat=flat)
