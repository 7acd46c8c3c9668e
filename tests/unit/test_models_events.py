"""Event streams and the frames that they become."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seamount.errors import DataError
from seamount_models.augmentation import shift_images
from seamount_models.encoders import Frames
from seamount_models.events import Recordings, sensor_units

SHAPE = (2, 5, 4)


def recordings(seed, lengths, shape=SHAPE, longest=1000):
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    return Recordings(
        name="toy",
        times_us=np.sort(rng.integers(0, longest, n)).astype(np.uint32),
        units=rng.integers(0, np.prod(shape), n).astype(np.uint16),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        unit_shape=shape,
    )


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 99),
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    steps=st.integers(1, 12),
    window=st.integers(1, 400),
    bound=st.integers(1, 4),
)
def test_frames_count_events(seed, lengths, steps, window, bound):
    """Every frame holds min(bound, number of events of its window), and nothing after the last window."""
    r = recordings(seed, lengths)
    want = np.zeros((steps, len(lengths), np.prod(SHAPE)), int)
    for b in range(len(lengths)):
        for i in range(r.offsets[b], r.offsets[b + 1]):
            if r.times_us[i] < steps * window:
                want[r.times_us[i] // window, b, r.units[i]] += 1
    got = Frames(window, bound)(r, steps, seed=0, indices=torch.arange(len(lengths)))
    assert got.shape == (steps, len(lengths), *SHAPE)
    assert got.dtype == (torch.uint8 if bound == 1 else torch.int32)
    assert np.array_equal(got.numpy().reshape(want.shape), np.minimum(want, bound))


def test_picked_recordings_are_the_same_recordings():
    r = recordings(1, [7, 0, 20, 3])
    whole = r.frames(10, 100, 1)
    picked = r[torch.tensor([2, 1, 0, 2])]
    assert len(picked) == 4
    assert torch.equal(picked.frames(10, 100, 1), whole[:, [2, 1, 0, 2]])
    assert len(r[torch.tensor([], dtype=torch.int64)]) == 0


def test_events_move_as_images_do():
    r = recordings(2, [30, 30, 30])
    indices = torch.tensor([4, 9, 2])
    moved = r.shifted(2, seed=3, indices=indices).frames(10, 100, 9)
    frames = r.frames(10, 100, 9)
    for b, i in enumerate(indices):
        images = frames[:, b].reshape(-1, 5 * 4)
        want = shift_images(images, (5, 4), 2, seed=3, indices=i.repeat(len(images)))
        assert torch.equal(moved[:, b].reshape(-1, 20), want)


def test_put_together():
    parts = [recordings(s, [n]) for s, n in ((0, 5), (1, 0), (2, 9))]
    whole = Recordings.of("toy", [p.times_us for p in parts], [p.units for p in parts], SHAPE)
    assert torch.equal(whole.frames(4, 250, 3), torch.cat([p.frames(4, 250, 3) for p in parts], 1))
    assert len(Recordings.of("toy", [], [], SHAPE)) == 0


def made(**change):
    r = recordings(0, [5, 6])
    fields = {name: getattr(r, name) for name in ("name", "times_us", "units", "offsets", "unit_shape")}
    return Recordings(**(fields | change))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: made(units=np.zeros(10, np.uint16)), "toy: 11 times for 10 units"),
        (lambda: made(offsets=np.array([0, 5, 12])), "toy: the offsets .* do not run from 0 to 11 events"),
        (lambda: made(offsets=np.array([0, 12, 11])), "toy: recording 1 ends before it begins"),
        (
            lambda: made(units=np.array([0] * 6 + [40] + [0] * 4, np.uint16)),
            r"toy: recording 1 has an event of unit 40 \(allowed 0..39\)",
        ),
        (lambda: recordings(0, [5]).frames(0, 1, 1), r"toy: steps = 0, window_us = 1"),
        (lambda: recordings(0, [5], (40,)).shifted(1, seed=0, indices=torch.arange(1)), "samples are not images"),
        (
            lambda: sensor_units("f", SHAPE, np.ones(2, int), np.ones(2, int), np.ones(1, int)),
            "f: 2 polarities, 2 rows",
        ),
        (
            lambda: sensor_units("f", SHAPE, np.array([1, 0]), np.array([4, 4]), np.array([3, 4])),
            r"f: event 1 has x = 4 \(allowed 0..3\)",
        ),
        (
            lambda: sensor_units("f", SHAPE, np.array([0, 2]), np.array([4, 4]), np.array([3, 3])),
            r"f: event 1 has p = 2 \(allowed 0..1\)",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_sensor_units_are_row_major():
    p, y, x = (a.ravel() for a in np.indices(SHAPE))
    assert sensor_units("f", SHAPE, p, y, x).tolist() == list(range(40))
    assert sensor_units("f", (2, 128, 300), np.array([1]), np.array([127]), np.array([299])).tolist() == [76799]
