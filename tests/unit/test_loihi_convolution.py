"""The emulator's two ways to convolve: by the events that reach a sum, and as a matrix."""

import numpy as np
import pytest

import seamount as sm
from seamount.ir import Graph, Input, IntConv, Output
from seamount.neurons import IntLI
from seamount.testing import random_graph, random_spikes
from seamount_targets.loihi import plan
from seamount_targets.loihi.convolution import convolution

GEOMETRIES = [
    {},
    {"stride": 2, "padding": 2},
    {"stride": (3, 1), "padding": (0, 2), "dilation": (2, 1), "groups": 2},
    {"stride": 2, "padding": 1, "dilation": 3, "groups": 4},
    {"stride": 3, "dilation": 2},
]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32])
@pytest.mark.parametrize("shift", [-3, 2])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_events_add_up_to_the_convolution(geometry, shift, dtype):
    rng = np.random.default_rng(0)
    in_shape, groups = (4, 9, 12), geometry.get("groups", 1)
    weight = 2 * rng.integers(-128, 128, (8, 4 // groups, 3, 3))
    node = IntConv(name="c", inputs=("x",), weight=weight, weight_exp=shift - 1, **geometry)
    size = int(np.prod(node.out_shape(in_shape)))
    s = rng.integers(0 if dtype == np.uint8 else -3, 4, (5, *in_shape)) * (rng.random((5, *in_shape)) < 0.3)
    a = np.full((5, size + 7), 11, np.int32)
    padded = np.zeros((5, 448), dtype)
    padded[:, : np.prod(in_shape)] = s.reshape(5, -1)
    convolution(node, in_shape).add(padded, shift, a)
    np.testing.assert_array_equal(a[:, :size] - 11, node.apply(s).reshape(5, -1))
    assert (a[:, size:] == 11).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"per_neuron": True},
        {"kind": "graded", "bound": 30000},
        {"kind": "signed", "bound": 100, "readout": True},
        {"recurrent": 2, "skip": True},
        {"feedback": 3, "recurrent": 1},
        {"neuron": "ternary"},
        {"neuron": "ternary", "recurrent": 1, "feedback": 4},
        {"neuron": "graded", "feedback": 4, "weight_exp": (-4, 0)},
    ],
    ids=str,
)
def test_large_convolutions_give_the_same_bits(monkeypatch, changes):
    monkeypatch.setattr(plan, "SMALL_MATRIX", 0)
    monkeypatch.setattr(plan, "SMALL_MATRIX_IN_LOOP", 0)
    rng = np.random.default_rng(len(changes))
    graph = random_graph(rng, depth=3, conv=3, **changes)
    spikes = random_spikes(rng, graph, 12, 5)
    want = sm.compile(graph, "reference").run(spikes, record=("spikes", "v"))
    got = sm.compile(graph, "loihi2").run(spikes, record=("spikes", "v"))
    for node, values in want.v.items():
        np.testing.assert_array_equal(got.v[node], values, f"v of {node}")
    for node, values in want.spikes.items():
        np.testing.assert_array_equal(got.spikes[node], values, f"spikes of {node}")
    assert any(v.any() for v in want.v.values())


def test_one_dimension(monkeypatch):
    monkeypatch.setattr(plan, "SMALL_MATRIX", 0)
    rng = np.random.default_rng(1)
    weight = 2 * rng.integers(-60, 60, (6, 2, 5))
    graph = Graph(
        [
            Input(name="input", shape=(4, 30)),
            IntConv(
                name="c", inputs=("input",), weight=weight, stride=2, padding=3, dilation=2, groups=2, weight_exp=-2
            ),
            IntLI(name="li", inputs=("c",), shape=(6, 14), dv=300),
            Output(name="output", inputs=("li",)),
        ]
    )
    spikes = random_spikes(rng, graph, 20, 5)
    want = sm.compile(graph, "reference").run(spikes).output
    np.testing.assert_array_equal(sm.compile(graph, "loihi2").run(spikes).output, want)
    assert want.any()
