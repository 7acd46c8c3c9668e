"""Spoken digits and the inner ear that hears them."""

import numpy as np
import pytest
import torch

from seamount.errors import DataError
from seamount_models import cochlea, datasets
from seamount_models.datasets import spoken_digits


def test_spoken_digits(real, check_contract):
    data = real("spoken_digits", spoken_digits.FILE)
    assert (len(data.train), len(data.test), data.shape, data.classes) == (2700, 300, (64,), 10)
    check_contract(data, 80, "spike")
    assert data.test.y.bincount().tolist() == [30] * 10
    activity = data.test.spikes(range(0, 300, 30)).float().mean()
    assert 0.05 < activity < 0.2
    assert torch.equal(data.test.spikes([7]), datasets.load("spoken_digits").test.spikes([7]))


def test_spoken_digits_damaged(folder):
    audio, n = np.zeros(3000, np.int16), spoken_digits.RECORDINGS
    arrays = {
        "audio": audio,
        "offsets": np.arange(n + 1),
        "label": np.zeros(n, np.uint8),
        "index": np.zeros(n, np.uint8),
    }
    np.savez(folder / spoken_digits.FILE, **(arrays | {"offsets": np.arange(n + 1)[::-1].copy()}))
    with pytest.raises(DataError, match=r"fsdd_3000_8khz\.npz: the offsets do not run from 0 to the 3000 samples"):
        datasets.load("spoken_digits")
    np.savez(folder / spoken_digits.FILE, **(arrays | {"label": np.full(n, 10, np.uint8)}))
    with pytest.raises(DataError, match=r"spoken_digits: labels are 10..10 \(allowed 0..9\)"):
        datasets.load("spoken_digits")
    np.savez(folder / spoken_digits.FILE, **arrays)  # recordings of a single sample: too short for a spike
    assert len(datasets.load("spoken_digits").train) == 0
    assert datasets.load("spoken_digits").test.spikes([0, 1]).sum() == 0


@pytest.mark.parametrize("frequency", [200, 700, 2500])
def test_the_channel_at_a_tone_fires_most(frequency):
    ear = cochlea.Cochlea()
    tone = np.sin(2 * np.pi * frequency * np.arange(4000) / ear.rate)
    counts = ear.spikes(tone).sum(0)
    assert abs(int(counts.argmax()) - int(np.abs(ear.centres - frequency).argmin())) <= 1
    assert np.array_equal(ear.spikes(tone), ear.spikes(1000 * tone))  # loudness is taken out


def test_silence_stays_silent_and_bad_sound_is_refused():
    ear = cochlea.Cochlea(channels=8)
    assert ear.spikes(np.zeros(80)).shape == (10, 8)
    assert ear.spikes(np.zeros(80)).sum() == 0
    assert ear.spikes(np.zeros(3)).shape == (0, 8)
    with pytest.raises(DataError, match="not finite"):
        ear.spikes(np.array([0.0, np.nan]))
    with pytest.raises(DataError, match=r"8 channels from 100 to 5000 Hz .*between 0 and 4000 Hz"):
        cochlea.Cochlea(channels=8, high=5000)
    with pytest.raises(DataError, match=r"tau = 0, "):
        cochlea.Cochlea(tau=0)
