"""Delta, population, direct and count coding: their properties."""

import doctest

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seamount.errors import DataError
from seamount_models import coding, encoders

intensities = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=6).map(lambda row: torch.tensor([row]))


def signals(seed, slope):
    """Random walks `[3, 60]` that move by less than `slope` a step."""
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.rand(3, 60, generator=generator, dtype=torch.float64) - 1).mul(0.999 * slope).cumsum(1)


def test_examples():
    assert doctest.testmod(coding).failed == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 9999), threshold=st.floats(1e-3, 1e3))
def test_delta_follows_a_signal_to_within_its_threshold(seed, threshold):
    x = signals(seed, threshold)
    events = coding.delta(x, threshold)
    assert events.dtype == torch.int8
    assert set(events.unique().tolist()) <= {-1, 0, 1}
    level = x[:, 0] + threshold * events.double().cumsum(0)
    assert ((level - x.T).abs() <= threshold * (1 + 1e-9)).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 9999))
def test_delta_in_two_channels_says_the_same(seed):
    x = signals(seed, 1.0)[:, :, None].expand(3, 60, 2)
    signed, channels = coding.delta(x, 0.5), coding.delta(x, 0.5, two_channels=True)
    assert channels.dtype == torch.uint8
    assert channels.shape == (60, 3, 2, 2)
    assert torch.equal(channels[:, :, 0].to(torch.int8) - channels[:, :, 1].to(torch.int8), signed)
    assert torch.equal(coding.delta(-x, 0.5), -signed)
    assert torch.equal(coding.delta(x + 4, 0.5), signed)


def test_a_signal_that_stands_still_makes_no_events():
    assert coding.delta(torch.full((2, 9), 3.0), 0.1).sum() == 0


@settings(max_examples=40, deadline=None)
@given(x=intensities, units=st.integers(3, 12))
def test_population_peaks_at_the_nearest_centre(x, units):
    a = coding.population(x, units)
    assert a.shape == (*x.shape, units)
    assert ((a >= 0) & (a <= 1)).all()
    centres = (2 * torch.arange(1, units + 1) - 3) / (2 * (units - 2))
    distance = (x[..., None] - centres).abs()
    nearest = distance.gather(-1, a.argmax(-1, keepdim=True))[..., 0]
    assert torch.allclose(nearest, distance.amin(-1), atol=1e-6)
    assert nearest.max() <= 0.5 / (units - 2) + 1e-6  # no value lies between the fields


@settings(max_examples=40, deadline=None)
@given(x=intensities, steps=st.integers(1, 20))
def test_count_is_the_intensity_and_nothing_else(x, steps):
    s = coding.count(x, steps, seed=1)
    assert torch.equal(s.sum(0).float(), torch.round(x * steps))


def test_counts_fall_on_every_step_alike():
    s = coding.count(torch.full((400, 10), 0.3), 10, seed=2)
    assert (s.sum(0) == 3).all()
    # 4000 draws of 0.3 a step: 5 standard deviations are 0.036.
    assert ((s.float().mean((1, 2)) - 0.3).abs() < 0.036).all()
    some = torch.tensor([30, 7])
    assert torch.equal(coding.count(torch.full((2, 10), 0.3), 10, seed=2, indices=some), s[:, some])


@settings(max_examples=40, deadline=None)
@given(x=intensities, bound=st.integers(1, 2**24))
def test_direct_is_within_half_a_unit(x, bound):
    s = coding.direct(x, 3, bound=bound)
    assert s.dtype == torch.int32
    assert ((s >= 0) & (s <= bound)).all()
    assert (s == s[:1]).all()
    # float32 has 24 bits: at the top of the range its own rounding adds to the half.
    assert ((s[0].double() - x.double() * bound).abs() <= 0.5 + bound * 2.0**-24).all()


def test_direct_passes_bytes_on():
    x = torch.arange(256, dtype=torch.uint8)[None]
    assert torch.equal(coding.direct(x, 1, bound=255)[0], x.int())


@pytest.mark.parametrize("name", encoders.ENCODERS)
def test_an_encoder_keeps_what_it_declares(name):
    encoder = encoders.named(name)
    x = torch.rand(4, 3, 2, generator=torch.Generator().manual_seed(0))
    indices = torch.tensor([5, 1, 8, 2])
    s = encoder(x, 9, seed=3, indices=indices)
    assert s.shape == (9, 4, *encoder.shape((10, 3, 2)))
    assert {"spike": torch.uint8, "signed": torch.int8, "graded": torch.int32}[encoder.kind] == s.dtype
    assert s.long().abs().max() <= encoder.bound
    assert torch.equal(encoder(x[2:], 9, seed=3, indices=indices[2:]), s[:, 2:])


def test_signals_become_signed_events():
    encoder = encoders.Delta(0.5)
    x = signals(0, 1.0)
    assert torch.equal(encoder(x, 20, seed=0, indices=torch.arange(3)), coding.delta(x[:, :20], 0.5))
    assert (encoder.kind, encoder.bound, encoder.shape((3, 60, 4))) == ("signed", 1, (4,))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coding.delta(torch.zeros(3, 4, dtype=torch.int64), 1), r"delta: the signal is torch.int64 \(3, 4\)"),
        (lambda: coding.delta(torch.zeros(3), 1), r"delta: the signal is torch.float32 \(3,\). Hint: float \[B, T"),
        (lambda: coding.delta(torch.tensor([[0.0, float("nan")]]), 1), "delta: the signal holds NaN or infinity"),
        (lambda: coding.delta(torch.zeros(1, 2), 0), r"delta: threshold = 0 \(allowed above 0\)"),
        (lambda: coding.population(torch.zeros(1, 1), 2), r"population: units = 2 \(allowed 3 or more\)"),
        (lambda: coding.population(torch.full((1, 1), 2.0), 4), r"intensities are 2..2 \(allowed 0..1\)"),
        (lambda: coding.direct(torch.zeros(1, 1), 1, bound=0), r"direct: bound = 0 \(allowed 1..2\^24\)"),
        (lambda: coding.count(torch.zeros(1, 1), 1, seed=-1), r"count: seed = -1"),
        (
            lambda: encoders.named("phase"),
            r"phase: no such coding\. There are: count, direct, latency, population, rate",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(DataError, match=message):
        call()
