"""Convolutions in the graph: their sums, their matrix, and what does not fit, by name."""

import numpy as np
import pytest
import torch
from torch.nn import functional

import seamount as sm
from seamount.errors import GraphError
from seamount.ir import Conv, Graph, Input, IntConv, IntLinear, Output
from seamount.neurons import IntCubaLIF, IntLI
from seamount.report.program import connection_rows
from seamount.testing import random_graph

GEOMETRIES = [
    {},
    {"stride": 2, "padding": 1},
    {"padding": 2, "dilation": 2, "groups": 2},
    {"stride": 3, "padding": 1, "groups": 4},
]


def conv(rng, dims, geometry, integer=True):
    shape = (8, 4 // geometry.get("groups", 1), *(3, 2)[:dims])
    if geometry.get("padding", 0) and dims == 2:
        geometry = {**geometry, "padding": (geometry["padding"], 1)}
    weight = rng.integers(-99, 99, shape) if integer else rng.normal(size=shape)
    return (IntConv if integer else Conv)(name="conv", inputs=("input",), weight=weight, **geometry)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("dims", [1, 2])
def test_sums_are_those_of_torch_and_of_the_matrix(dims, geometry):
    rng = np.random.default_rng(dims)
    node, in_shape = conv(rng, dims, geometry), (4, 11, 9)[: dims + 1]
    s = rng.integers(-3, 4, (5, *in_shape))
    want = (functional.conv1d, functional.conv2d)[dims - 1](
        torch.tensor(s).double(), torch.tensor(node.weight).double(), None, node.stride, node.padding, node.dilation,
        node.groups,
    ).numpy()  # fmt: skip
    np.testing.assert_array_equal(node.apply(s), want)
    assert node.out_shape(in_shape) == want.shape[1:]
    matrix = node.matrix(in_shape)
    np.testing.assert_array_equal(s.reshape(5, -1) @ matrix.T, want.reshape(5, -1))
    assert node.count(in_shape) == np.count_nonzero(matrix)
    assert np.abs(matrix).sum(axis=1).max() * 3 <= node.largest_sum(3)
    shifted = IntConv(**{**node.parameters(), "name": "", "inputs": ("input",), "weight_exp": -3})
    np.testing.assert_array_equal(shifted.apply(s), np.floor(want / 8))


def test_a_linear_reads_and_delivers_any_shape_in_c_order():
    rng = np.random.default_rng(0)
    nodes = [
        Input(name="input", shape=(2, 3)),
        IntLinear(name="fc", inputs=("input",), weight=2 * rng.integers(-50, 50, (4, 6))),
        IntLI(name="li", inputs=("fc",), shape=(2, 2), dv=4095),
        Output(name="output", inputs=("li",)),
    ]
    graph, x = Graph(nodes), rng.integers(0, 2, (5, 3, 2, 3))
    want = (x.reshape(5, 3, 6) @ graph["fc"].weight.T << 6).reshape(5, 3, 2, 2)
    for target in ("reference", "onnxruntime", "loihi2"):
        got = sm.compile(graph, target).run(x).output
        np.testing.assert_array_equal(got[0], want[0])
        assert got.shape == want.shape


def graph_of(in_shape=(2, 6, 6), shape=(4, 4, 4), vth=9, **changes):
    fields = {"weight": np.ones((4, 2, 3, 3)), **changes}
    return Graph(
        [
            Input(name="input", shape=in_shape),
            IntConv(name="conv", inputs=("input",), **fields),
            IntCubaLIF(name="pop", inputs=("conv",), shape=shape, du=4095, dv=0, vth=vth),
            Output(name="output", inputs=("pop",)),
        ]
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_shape": (3, 6, 6)}, r"^conv: reads a source of shape \(3, 6, 6\) \(allowed \(2, height, width\)\)\. It "),
        ({"in_shape": (72,)}, r"^conv: reads a source of shape \(72,\) \(allowed \(2, height, width\)\)"),
        ({"in_shape": (2, 2, 6)}, r"^conv: a kernel that spans 3 \(limit 2, its input of \(2, 2, 6\)\)"),
        ({"shape": (4, 5, 5)}, r"^pop: has shape \(4, 5, 5\), but conv delivers \(4, 4, 4\)"),
        ({"shape": (64,)}, r"^pop: has shape \(64,\), but conv delivers \(4, 4, 4\)"),
        ({"weight": np.ones((4, 2))}, r"^conv: weight must be \[out, in, kernel\] or .*, got \(4, 2\)"),
        ({"weight": np.ones((0, 2, 3, 3))}, r"^conv: weight of shape \(0, 2, 3, 3\) is empty"),
        ({"weight": np.ones((4, 1, 3, 3)), "groups": 3}, r"^conv: 4 channels do not split into 3 groups"),
        ({"padding": 3}, r"^conv: padding \(used 3, limit 2 for a kernel of 3\)"),
        ({"stride": (1, 0)}, r"^conv: stride = \(1, 0\) \(allowed 2 numbers of at least 1\)"),
        ({"dilation": (1, 1, 1)}, r"^conv: dilation = \(1, 1, 1\) \(allowed 2 numbers"),
        ({"vth": [9, 9, 9, 9]}, r"^pop: vth has shape \(4,\) \(allowed \(\) or \(4, 1, 1\) or \(4, 4, 4\)\)"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    with pytest.raises(GraphError, match=message):
        graph_of(**changes)


def test_parameters_may_be_given_by_channel():
    rng = np.random.default_rng(0)
    vth, weight = np.array([3, 5, 7, 9]).reshape(4, 1, 1), 2 * rng.integers(-9, 9, (4, 2, 3, 3))
    x = rng.integers(0, 2, (6, 2, 2, 6, 6))
    each = graph_of(vth=np.broadcast_to(vth, (4, 4, 4)), weight=weight)
    graph = graph_of(vth=vth, weight=weight)
    want = sm.compile(each, "reference").run(x).output
    assert 0.1 < want.mean() < 0.9
    for target in ("reference", "onnxruntime", "loihi2"):
        np.testing.assert_array_equal(sm.compile(graph, target).run(x).output, want)


def test_files_and_text_hold_the_geometry(tmp_path):
    graph = random_graph(np.random.default_rng(4), depth=3, conv=2, recurrent=1, per_neuron=True)
    sm.save(graph, tmp_path / "net.onnx")
    loaded = sm.load(tmp_path / "net.onnx")
    assert str(loaded) == str(graph)
    assert "stride=(" in str(graph)
    for node in graph.connections:
        np.testing.assert_array_equal(loaded[node.name].weight, node.weight)


def test_reports_count_the_synapses_that_a_chip_stores():
    graph = graph_of()
    (row,) = connection_rows(graph)
    assert row["synapses"] == 4 * 16 * 2 * 9
    assert row["weight"] == "[4, 2, 3, 3]"


@pytest.mark.parametrize("seed", range(12))
def test_a_spaced_convolution_is_a_transposed_one(seed):
    """Its sums are torch's; matrix, synapses and largest sum agree with them."""
    rng = np.random.default_rng(seed)
    dims, groups = 1 + seed % 2, 1 + seed % 3 // 2
    spacing, dilation, kernel = (tuple(int(n) for n in rng.integers(1, 5, dims)) for _ in range(3))
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    padding = tuple(int(rng.integers(0, r + 1)) for r in reach)
    in_shape = (2 * groups, *(int(n) for n in rng.integers(5, 8, dims)))
    weight = rng.integers(-9, 9, (3 * groups, 2, *kernel))
    node = IntConv(
        name="conv", inputs=("input",), weight=weight, spacing=spacing, dilation=dilation,
        padding=tuple(max(p, r - 4) for p, r in zip(padding, reach, strict=True)), groups=groups,
    )  # fmt: skip
    s = rng.integers(0, 2, (3, *in_shape))
    mirrored = np.flip(weight, range(2, 2 + dims)).reshape(groups, 3, 2, *kernel).swapaxes(1, 2)
    want = [functional.conv_transpose1d, functional.conv_transpose2d][dims - 1](
        torch.tensor(s).double(), torch.tensor(mirrored.reshape(2 * groups, 3, *kernel).copy()).double(),
        stride=spacing, dilation=dilation, groups=groups,
        padding=[r - p for r, p in zip(reach, node.padding, strict=True)],
    )  # fmt: skip
    np.testing.assert_array_equal(node.apply(s), want)
    matrix = node.matrix(in_shape)
    np.testing.assert_array_equal(s.reshape(3, -1) @ matrix.T, want.flatten(1))
    assert node.count(in_shape) == np.count_nonzero(matrix)
    most = np.abs(weight).reshape(len(weight), -1).sum(axis=1).max()
    assert np.abs(matrix).sum(axis=1).max() <= node.largest_sum(1) <= most


def test_a_convolution_is_spaced_or_strided():
    with pytest.raises(GraphError, match=r"^conv: spacing \(2, 2\) with stride \(1, 3\) \(allowed: one of them\)"):
        Conv(name="conv", inputs=("input",), weight=np.ones((1, 1, 2, 2)), spacing=2, stride=(1, 3))
