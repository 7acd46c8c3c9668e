"""Reading an answer off the output."""

import doctest

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seamount.errors import DataError
from seamount_models import decoding

spikes = st.integers(0, 999).map(
    lambda seed: (torch.rand(6, 5, 4, generator=torch.Generator().manual_seed(seed)) < 0.25).to(torch.uint8)
)


def test_examples():
    assert doctest.testmod(decoding).failed == 0


@settings(max_examples=40, deadline=None)
@given(s=spikes)
def test_first_spike_is_the_earliest_and_minus_one_where_all_are_silent(s):
    answer = decoding.decode_first_spike(s)
    for b in range(s.shape[1]):
        fired = [(t, c) for t in range(len(s)) for c in range(s.shape[2]) if s[t, b, c]]
        assert answer[b] == (min(fired)[1] if fired else decoding.SILENT)


@settings(max_examples=40, deadline=None)
@given(s=spikes)
def test_a_population_of_one_neuron_a_class_is_the_count(s):
    assert torch.equal(decoding.decode_population(s, 4), decoding.decode_count(s))
    groups = torch.stack([s[..., :2].sum((0, 2)), s[..., 2:].sum((0, 2))], -1)
    assert torch.equal(decoding.decode_population(s, 2), groups.argmax(-1))


@settings(max_examples=20, deadline=None)
@given(s=spikes, order=st.permutations(range(6)))
def test_counts_and_maxima_ignore_the_order_of_the_steps(s, order):
    v = s * torch.linspace(0.1, 1, 4)
    assert torch.equal(decoding.decode_count(s), decoding.decode_count(s[list(order)]))
    assert torch.equal(decoding.decode_max_membrane(v), decoding.decode_max_membrane(v[list(order)]))


def test_each_step_and_the_last():
    v = torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(0))
    steps = decoding.decode_steps(v)
    assert steps.shape == (6, 5)
    assert torch.equal(steps[-1], decoding.decode_last_membrane(v))
    assert torch.equal(steps, v.permute(0, 2, 1).argmax(1))


@pytest.mark.parametrize("decode", decoding.DECODERS.values())
def test_shapes_are_checked(decode):
    for shape in ((3, 4), (0, 2, 3), (3, 2, 0)):
        with pytest.raises(DataError, match=r"output has shape .*needed \[T, B, classes\]"):
            decode(torch.zeros(shape))


def test_groups_must_be_of_one_size():
    with pytest.raises(DataError, match="decode_population: 4 neurons are not 3 groups"):
        decoding.decode_population(torch.zeros(2, 1, 4), 3)
