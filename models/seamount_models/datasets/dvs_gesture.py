"""DVS Gesture: 11 gestures of hands and arms before an event camera of 128 x 128 pixels, 2 polarities.

1077 recordings for training, 264 for testing, some 6 s long. Source: Amir et al., "A low power, fully event-based
gesture recognition system" (CVPR 2017), CC BY 4.0. Read from the files that tonic makes: `DVSGesture/ibmGestureTrain`
and `ibmGestureTest` in the data folder, in them a folder for each person, in it `<label>.npy` with a row
x, y, polarity, milliseconds for each event.
"""

from __future__ import annotations

import functools
import importlib
from pathlib import Path

import numpy as np
import torch

from seamount.errors import DataError
from seamount_models.encoders import Frames
from seamount_models.events import RecordingFiles, sensor_units
from seamount_models.files import data_folder, read_npy
from seamount_models.splits import Dataset, Split

CLASSES = 11
SENSOR = (2, 128, 128)
PARTS = {"train": "ibmGestureTrain", "test": "ibmGestureTest"}
FOLDER = "DVSGesture"
NUMBERS = tuple(np.dtype(kind) for kind in ("<f8", "<f4", "<i8", "<i4", "<i2", "<u8", "<u4", "<u2"))
"""Any of these may hold the events."""
HINT = (
    "load it with download=True where tonic is installed, or fetch ibmGestureTrain.tar.gz and ibmGestureTest.tar.gz "
    "(figshare.com/ndownloader/files/38022171 and 38020584) and unpack them there."
)


def dataset(
    *,
    steps: int = 60,
    seed: int = 0,
    scale: int = 4,
    bound: int = 1,
    duration_us: int = 6_000_000,
    download: bool = False,
) -> Dataset:
    """Return DVS Gesture as frames `[2, 128 / scale, 128 / scale]`, polarity first, read when a batch is asked for.

    Args:
        steps: frames a recording; a frame is `duration_us / steps` long.
        seed: nothing is drawn; taken as every data set takes it.
        scale: blocks of `scale x scale` pixels are one: 1, 2, 4, ...
        bound: largest count in a pixel of a frame; 1 asks only whether there was an event.
        duration_us: of each recording the first so many microseconds.
        download: let tonic fetch what is missing.
    """
    if not 1 <= steps <= duration_us:
        raise DataError(f"dvs_gesture: steps = {steps} (allowed 1..{duration_us}, a microsecond each).")
    if scale < 1 or SENSOR[1] % scale:
        raise DataError(f"dvs_gesture: scale = {scale} (allowed: what divides {SENSOR[1]}).")

    def split(part: str) -> Split:
        folder = data_folder() / FOLDER / PARTS[part]
        if download and not folder.is_dir():
            _fetch_with_tonic(train=part == "train")
        files = sorted(folder.glob("*/*.npy"))
        if not files:
            raise DataError(
                f"{folder}: holds no recordings, */*.npy. Hint: {HINT} The environment variable SEAMOUNT_DATA names "
                "the folder."
            )
        if strange := [file for file in files if file.stem not in map(str, range(CLASSES))]:
            raise DataError(f"{strange[0]}: is not named after a label, 0..{CLASSES - 1}.")
        return Split(
            name=f"dvs_gesture.{part}",
            x=RecordingFiles(
                name=FOLDER, files=files, unit_shape=_scaled(scale), read=functools.partial(_read, scale=scale)
            ),
            y=torch.tensor([int(file.stem) for file in files]),
            classes=CLASSES,
            steps=steps,
            coding=Frames(-(-duration_us // steps), bound),
            seed=seed,
        )

    return Dataset(name="dvs_gesture", train=split("train"), test=split("test"))


def _read(file: Path, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Times in microseconds, and units of a sensor whose pixels are blocks of `scale x scale`."""
    events = read_npy(file, NUMBERS, (None, 4))
    if not bool(np.isfinite(events).all()):
        raise DataError(f"{file}: holds NaN or infinity.")
    column, row, polarity, time = events.T.astype(np.int64)
    if len(time) and not 0 <= int(time.min()) <= int(time.max()) < 2**32 // 1000:
        raise DataError(f"{file}: times are {int(time.min())}..{int(time.max())} ms (allowed 0..{2**32 // 1000 - 1}).")
    sensor_units(str(file), SENSOR, polarity, row, column)  # an event off the sensor is found before it is scaled
    units = sensor_units(str(file), _scaled(scale), polarity, row // scale, column // scale)
    return (time * 1000).astype(np.uint32), units


def _scaled(scale: int) -> tuple[int, int, int]:
    polarities, height, width = SENSOR
    return polarities, height // scale, width // scale


def _fetch_with_tonic(*, train: bool) -> None:
    try:
        tonic = importlib.import_module("tonic")
    except ImportError as error:
        raise DataError("dvs_gesture: downloading it needs tonic. Hint: pip install 'seamount[data]'.") from error
    try:
        tonic.datasets.DVSGesture(save_to=str(data_folder()), train=train)
    except (OSError, RuntimeError) as error:
        raise DataError(f"dvs_gesture: tonic cannot fetch it ({error}). Hint: {HINT}") from error
