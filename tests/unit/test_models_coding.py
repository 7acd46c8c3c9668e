"""Rate and latency coding, and reading a class off the output."""

import pytest
import torch

from seamount.errors import DataError
from seamount_models import coding, decoding


def test_rate_fires_with_the_probability_of_its_intensity():
    x = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0]).repeat(400, 1)
    s = coding.rate(x, 50, seed=3)
    assert s.dtype == torch.uint8
    assert s.shape == (50, 400, 5)
    mean = s.float().mean((0, 1))
    assert mean[0] == 0
    assert mean[4] == 1
    # 20,000 draws: 5 standard deviations are below 0.02.
    assert torch.allclose(mean, x[0], atol=0.02)


def test_rate_draws_steps_samples_and_neurons_independently():
    s = coding.rate(torch.full((200, 40), 0.5), 40).double() - 0.5
    for a, b in ((s[1:], s[:-1]), (s[:, 1:], s[:, :-1]), (s[..., 1:], s[..., :-1])):
        correlation = (a * b).mean() / 0.25
        assert abs(correlation) < 5 / a.numel() ** 0.5


def test_rate_of_a_sample_does_not_depend_on_its_batch():
    x = torch.rand(20, 3, 4, generator=torch.Generator().manual_seed(0))
    whole = coding.rate(x, 6, seed=5)
    some = torch.tensor([7, 2, 19])
    assert torch.equal(coding.rate(x[some], 6, seed=5, indices=some), whole[:, some])


def test_rate_changes_with_the_seed():
    x = torch.full((4, 30), 0.5)
    assert not torch.equal(coding.rate(x, 8, seed=0), coding.rate(x, 8, seed=1))


def test_rate_never_changes():
    """Codes are part of every recorded accuracy and golden trace."""
    assert coding.rate(torch.full((1, 8), 0.5), 3, seed=1)[:, 0].tolist() == [
        [1, 1, 0, 0, 1, 1, 0, 1],
        [0, 0, 0, 0, 0, 0, 0, 1],
        [0, 1, 1, 1, 1, 1, 0, 0],
    ]


def test_bytes_stand_for_255ths():
    x = torch.tensor([[0, 51, 255]], dtype=torch.uint8)
    assert torch.equal(coding.rate(x, 9), coding.rate(x.float() / 255, 9))


def test_latency_fires_once_and_brighter_earlier():
    x = torch.linspace(0, 1, 11)[None]
    s = coding.latency(x, 8)
    assert s.sum(0).tolist() == [[0] + [1] * 10]
    first = s[:, 0, 1:].argmax(0)
    assert torch.equal(first, first.sort(descending=True).values)
    assert first[-1] == 0
    assert coding.latency(torch.tensor([[1e-6]]), 8)[:, 0, 0].argmax() == 7


def test_latency_is_silent_up_to_the_threshold():
    assert coding.latency(torch.tensor([[0.2, 0.3]]), 4, threshold=0.2).sum(0).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coding.rate(torch.tensor([[1.5]]), 4), r"intensities are 1.5..1.5 \(allowed 0..1\)"),
        (lambda: coding.rate(torch.tensor([[float("nan")]]), 4), r"intensities are nan..nan \(allowed 0..1\)"),
        (lambda: coding.latency(torch.tensor([[-0.5]]), 4), r"intensities are -0.5..-0.5"),
        (lambda: coding.latency(torch.tensor([[16]]), 4), r"intensities are torch.int64 \(1, 1\)"),
        (lambda: coding.rate(torch.zeros(1, 1), 0), r"steps = 0 \(allowed 1 or more\)"),
        (lambda: coding.rate(torch.zeros(1, 1), 1, seed=-1), r"seed = -1"),
        (lambda: coding.rate(torch.zeros(2, 1), 1, indices=torch.arange(3)), r"indices have shape \(3,\).*\(2,\)"),
        (lambda: coding.latency(torch.zeros(1, 1), 1, threshold=2), r"threshold = 2 \(allowed 0..1\)"),
        (lambda: decoding.decode_count(torch.zeros(3, 4)), r"output has shape \(3, 4\), needed \[T, B, classes\]"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_decode_count_takes_the_most_active_and_the_first_among_equals():
    s = torch.zeros(5, 3, 4)
    s[:3, 0, 2] = 1
    s[0, 0, 1] = 1
    s[1, 1, 3] = s[2, 1, 1] = 1
    assert decoding.decode_count(s).tolist() == [2, 1, 0]
