"""The chip's arithmetic equals its exact definition in whole numbers and fractions, whatever executes it."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba import njit

from seamount import fixed_point as fp

EDGES = [e for b in (0, 1 << 12, 1 << 23, 1 << 24, 3 << 23) for s in (1, -1) for e in (s * b - 1, s * b, s * b + 1)]
numbers = st.lists(
    st.one_of(st.sampled_from(EDGES), st.integers(-(1 << 24), 1 << 24), st.integers(-(1 << 50), 1 << 50)),
    min_size=1, max_size=20,
)  # fmt: skip
retentions = st.one_of(st.sampled_from([0, 1, 4095, 4096]), st.integers(0, 4096))


def in_numpy(function, xs, *constants):
    return function(np.array(xs, np.int64), *constants)


def in_torch(function, xs, *constants):
    return function(torch.tensor(xs, dtype=torch.int64), *constants)


def in_numba(function, xs, *constants):
    return [KERNELS[function](x, *constants) for x in xs]


@njit
def _decay(x, retention):
    return fp.decay(x, retention)


@njit
def _wrap(x):
    return fp.wrap(x)


@njit
def _clip(x):
    return fp.clip(x)


KERNELS = {fp.decay: _decay, fp.wrap: _wrap, fp.clip: _clip}
executors = pytest.mark.parametrize("execute", [in_numpy, in_torch, in_numba])


def same(got, want: list[int]) -> None:
    assert [int(g) for g in got] == want


@executors
@given(numbers, retentions)
@example(EDGES, 4095)
@example(EDGES, 1)
@settings(max_examples=50, deadline=None)
def test_decay_multiplies_by_4096ths_and_truncates_toward_zero(execute, xs, retention):
    same(execute(fp.decay, xs, retention), [math.trunc(Fraction(x * retention, 4096)) for x in xs])


@executors
@given(numbers)
@example(EDGES)
@settings(max_examples=50, deadline=None)
def test_wrap_adds_or_subtracts_one_span(execute, xs):
    limit, span = 2**23, 2**24
    same(execute(fp.wrap, xs), [x - span if x > limit else x + span if x <= -limit else x for x in xs])


@executors
@given(numbers)
@example(EDGES)
@settings(max_examples=50, deadline=None)
def test_clip_saturates_symmetrically(execute, xs):
    limit = 2**23 - 1
    same(execute(fp.clip, xs), [max(-limit, min(limit, x)) for x in xs])


@given(numbers)
@settings(max_examples=50, deadline=None)
def test_wrap_brings_whatever_is_within_its_bound_back_to_24_bits(xs):
    inside = [x for x in xs if -fp.U_BOUND < x <= fp.U_BOUND]
    for x, got in zip(inside, in_numpy(fp.wrap, inside), strict=True):
        assert -(2**23) < got <= 2**23
        assert (x - got) % 2**24 == 0


@pytest.mark.parametrize("execute", [in_numpy, in_torch])
@given(st.lists(st.one_of(st.sampled_from(EDGES), st.integers(-(1 << 40), 1 << 40)), min_size=1), st.integers(-20, 20))
@example(EDGES, -1)
@settings(max_examples=50, deadline=None)
def test_shift_multiplies_by_a_power_of_two_and_takes_the_floor(execute, xs, exp):
    same(execute(fp.shift, xs, exp), [math.floor(Fraction(x) * Fraction(2) ** exp) for x in xs])
