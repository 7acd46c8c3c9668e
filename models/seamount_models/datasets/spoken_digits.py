"""Free Spoken Digit Dataset: ten digits spoken 50 times by each of six people, as spikes of an artificial inner ear.

2700 recordings for training, 300 for testing: the official split, of each digit and speaker the first five are for
testing. 8 kHz, 0.14 to 2.3 s, half of them under 0.42 s. Source: Jackson et al.,
github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0. Read from `fsdd_3000_8khz.npz` (int16 `audio`, recording
after recording, with int64 `offsets` [3001] and uint8 `label` and `index` [3000]), else from a clone of the repository
in the data folder.
"""

from __future__ import annotations

import re
import wave
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seamount.errors import DataError
from seamount_models.cochlea import Cochlea
from seamount_models.encoders import Frames
from seamount_models.events import Recordings
from seamount_models.files import data_folder, read_npz
from seamount_models.splits import Dataset, Split

CLASSES = 10
RECORDINGS = 3000
TEST_INDICES = 5
DURATION_US = 800_000
"""49 of 50 recordings are shorter; of the others the end is left out."""
FILE = "fsdd_3000_8khz.npz"
CLONE = "free-spoken-digit-dataset"
HINT = f"clone https://github.com/Jakobovski/{CLONE} there."
NAME = re.compile(r"([0-9])_([a-z]+)_([0-9]{1,2})\.wav")
RATE = 8000
"""Samples of sound per second."""


def dataset(
    *, steps: int = 80, seed: int = 0, channels: int = 64, bound: int = 1, duration_us: int = DURATION_US
) -> Dataset:
    """Return the spoken digits as frames `[channels]`; a recording is heard once, when it is first asked for.

    Args:
        steps: frames a recording; a frame is `duration_us / steps` long.
        seed: nothing is drawn; taken as every data set takes it.
        channels: of the inner ear, `cochlea.Cochlea`.
        bound: largest count of a channel in a frame; 1 asks only whether it fired.
        duration_us: of each recording the first so many microseconds.
    """
    if not 1 <= steps <= duration_us:
        raise DataError(f"spoken_digits: steps = {steps} (allowed 1..{duration_us}, a microsecond each).")
    clone = data_folder() / CLONE / "recordings"
    arrays = _read_clone(clone) if clone.is_dir() and not (data_folder() / FILE).is_file() else _read_npz()
    whole = Split(
        name="spoken_digits",
        x=Heard(arrays["audio"], arrays["offsets"], Cochlea(rate=RATE, channels=channels)),
        y=torch.from_numpy(arrays["label"]).long(),
        classes=CLASSES,
        steps=steps,
        coding=Frames(-(-duration_us // steps), bound),
        seed=seed,
    )
    test = torch.from_numpy(arrays["index"] < TEST_INDICES)
    train, test = (
        whole.subset(mask.nonzero()[:, 0], f"spoken_digits.{part}") for part, mask in (("train", ~test), ("test", test))
    )
    return Dataset(name="spoken_digits", train=train, test=test)


def _read_npz() -> dict[str, np.ndarray]:
    byte, offset = np.dtype(np.uint8), np.dtype(np.int64)
    return read_npz(
        FILE,
        {
            "audio": (np.dtype(np.int16), (None,)),
            "offsets": (offset, (RECORDINGS + 1,)),
            "label": (byte, (RECORDINGS,)),
            "index": (byte, (RECORDINGS,)),
        },
        HINT,
    )


def _read_clone(folder: Path) -> dict[str, np.ndarray]:
    """The same arrays from `<digit>_<speaker>_<index>.wav`, in the order of digit, speaker and index."""
    found = sorted((m[1], m[2], int(m[3]), path) for path in folder.iterdir() if (m := NAME.fullmatch(path.name)))
    if len(found) != RECORDINGS:
        raise DataError(
            f"{folder}: holds {len(found)} recordings <digit>_<speaker>_<index>.wav, expected {RECORDINGS}."
        )
    audio = [_read_wav(path) for *_, path in found]
    return {
        "audio": np.concatenate(audio),
        "offsets": np.concatenate([[0], np.cumsum([len(one) for one in audio])]),
        "label": np.array([digit for digit, *_ in found]).astype(np.uint8),
        "index": np.array([index for _, _, index, _ in found], np.uint8),
    }


def _read_wav(path: Path) -> np.ndarray:
    try:
        with wave.open(str(path)) as file:
            form = file.getnchannels(), file.getsampwidth(), file.getframerate()
            content = file.readframes(min(file.getnframes(), path.stat().st_size))
    except (OSError, EOFError, wave.Error) as error:
        raise DataError(f"{path}: is not a readable .wav file ({error}).") from error
    if form != (1, 2, RATE):
        raise DataError(
            f"{path}: has {form[0]} channels of {form[1]} bytes at {form[2]} Hz, expected 1 of 2 at {RATE}."
        )
    return np.frombuffer(content[: len(content) // 2 * 2], "<i2")


class Heard:
    """Recordings of sound as the spikes of an inner ear, kept once they were heard.

    Args:
        audio: int16 `[samples]`, one recording after the other.
        offsets: int64 `[n + 1]`, recording b is `offsets[b]..offsets[b + 1]`.
        ear: what hears.
    """

    def __init__(self, audio: np.ndarray, offsets: np.ndarray, ear: Cochlea) -> None:
        if offsets[0] != 0 or offsets[-1] != len(audio) or bool((np.diff(offsets) < 0).any()):
            raise DataError(f"{FILE}: the offsets do not run from 0 to the {len(audio)} samples of audio.")
        self._audio, self._offsets, self._ear = audio, offsets, ear
        self._heard: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self), self._ear.channels

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, indices: Tensor) -> Recordings:
        times, units = zip(*(self._hear(int(i)) for i in indices), strict=True) if len(indices) else ((), ())
        return Recordings.of(FILE, times, units, (self._ear.channels,))

    def _hear(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Times in microseconds and channels of the spikes of recording i."""
        if i not in self._heard:
            step, channel = self._ear.spikes(self._audio[self._offsets[i] : self._offsets[i + 1]]).nonzero()
            self._heard[i] = (step * self._ear.step_us).astype(np.uint32), channel.astype(np.uint16)
        return self._heard[i]
