"""QTDB: electrocardiograms as events, a label for each step: which of 6 phases of the heartbeat.

618 recordings for training, 141 for testing, 1301 steps, 4 channels of -1, 0, 1; about one step in twelve carries no
label (-1). Sources: Laguna et al., "A database for evaluation of algorithms for measurement of QT and other waveform
intervals in the ECG" (Computers in Cardiology 1997), PhysioNet, ODC-By; level crossing by Yin, Corradi and Bohte,
"Accurate and efficient time-domain classification with adaptive spiking recurrent neural networks" (Nature Machine
Intelligence 2021), MIT. Read from `qtdb_ecg.npz`: int8 x_train [618, 1301, 4], y_train [618, 1301], the same for test.
"""

from __future__ import annotations

import numpy as np
import torch

from seamount.errors import DataError
from seamount_models.encoders import AsIs
from seamount_models.files import read_npz
from seamount_models.splits import Dataset, Split

CLASSES = 6
RECORDINGS = {"train": 618, "test": 141}
STEPS, CHANNELS = 1301, 4
FILE = "qtdb_ecg.npz"
HINT = (
    "save QTDB as coded by Yin et al. (github.com/byin-cwi/Efficient-spiking-networks, ecg) there with numpy.savez: "
    "int8 x_train [618, 1301, 4] in -1..1, y_train [618, 1301] in 0..5 or -1, x_test and y_test with 141."
)


def dataset(*, steps: int = STEPS, seed: int = 0) -> Dataset:
    """Return QTDB: signed events, labels `[n, steps]`.

    Args:
        steps: the first so many steps of each recording, at most 1301.
        seed: nothing is drawn; taken as every data set takes it.
    """
    if not 1 <= steps <= STEPS:
        raise DataError(f"qtdb: steps = {steps} (allowed 1..{STEPS}).")
    byte = np.dtype(np.int8)
    shapes = {
        f"{w}_{part}": (n, STEPS, CHANNELS)[: 3 if w == "x" else 2] for part, n in RECORDINGS.items() for w in "xy"
    }
    arrays = read_npz(FILE, {name: (byte, shape) for name, shape in shapes.items()}, HINT)

    def split(part: str) -> Split:
        x, y = torch.from_numpy(arrays[f"x_{part}"]), torch.from_numpy(arrays[f"y_{part}"])
        if int(x.min()) < -1 or int(x.max()) > 1:
            raise DataError(f"{FILE}: x_{part} holds {int(x.min())}..{int(x.max())} (allowed -1..1).")
        return Split(
            name=f"qtdb.{part}",
            x=x,
            y=y[:, :steps].long(),
            classes=CLASSES,
            steps=steps,
            coding=AsIs("signed"),
            seed=seed,
        )

    return Dataset(name="qtdb", train=split("train"), test=split("test"))
