"""Fashion-MNIST: pictures of clothes, 28 x 28 pixels, 10 kinds, 60,000 for training and 10,000 for testing.

Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms"
(arXiv:1708.07747), MIT licence. Read from the four idx.gz files, in `fashion-mnist/` of the data folder or where
Debian's package `dataset-fashion-mnist` puts them.
"""

from __future__ import annotations

from pathlib import Path

from seamount_models.downloads import Remote, fetch
from seamount_models.files import data_folder, locate, read_idx
from seamount_models.images import image_dataset
from seamount_models.splits import Dataset

CLASSES = 10
SIDE = 28
FOLDER = "fashion-mnist"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
HOME = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
FILES = {
    "x_train": Remote(f"{HOME}/train-images-idx3-ubyte.gz", 26_421_880, "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    "y_train": Remote(f"{HOME}/train-labels-idx1-ubyte.gz", 29_515, "md5:25c81989df183df01b3e8a0aad5dffbe"),
    "x_test": Remote(f"{HOME}/t10k-images-idx3-ubyte.gz", 4_422_102, "md5:bef4ecab320f06d8554ea6380940ec79"),
    "y_test": Remote(f"{HOME}/t10k-labels-idx1-ubyte.gz", 5_148, "md5:bb300cfdad3c16e7a12a480ee83cd310"),
}
SAMPLES = {"train": 60_000, "test": 10_000}
HINT = (
    "load it with download=True, install Debian's package dataset-fashion-mnist, or put the four files "
    "{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz there."
)


def dataset(
    *, steps: int = 16, coding: str = "rate", seed: int = 0, flat: bool = True, download: bool = False
) -> Dataset:
    """Return Fashion-MNIST as 784 intensities, `[1, 28, 28]` where not `flat`; `download` fetches what is missing."""
    arrays = {}
    for name, remote in FILES.items():
        (file,) = remote.files
        if download and not (DEBIAN / file).is_file():
            fetch(remote, data_folder() / FOLDER)
        n = SAMPLES[name[2:]]
        path = locate(f"{FOLDER}/{file}", HINT, elsewhere=[DEBIAN / file])
        arrays[name] = read_idx(path, (n, SIDE, SIDE) if name[0] == "x" else (n,))
    return image_dataset("fashion_mnist", arrays, classes=CLASSES, steps=steps, coding=coding, seed=seed, flat=flat)
