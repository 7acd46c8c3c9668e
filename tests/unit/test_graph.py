"""Graphs check themselves, and programs check what they are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import seamount as sm
from seamount.errors import DataError, GraphError, ResourceError, TargetError, UnsupportedNodeError
from seamount.ir import Graph, Input, IntLinear, Linear, Output
from seamount.neurons import LIF, IntCubaLIF, IntLI

IN = Input(name="input", shape=(2,))
FC = IntLinear(name="fc", inputs=("input",), weight=[[2, -4], [6, 8], [0, 2]])
POP = IntCubaLIF(name="lif", inputs=("fc",), shape=(3,), du=4095, dv=410, vth=3)
OUT = Output(name="output", inputs=("lif",))


def test_a_sound_graph():
    graph = Graph([OUT, POP, FC, IN])
    assert [n.name for n in graph.order] == ["input", "fc", "lif", "output"]
    assert graph.stage == "integer"
    assert graph.output.name == "lif"
    assert graph.target(FC).name == "lif"


def replace_in(*nodes):
    table = {n.name: n for n in (IN, FC, POP, OUT)} | {n.name: n for n in nodes}
    return lambda: Graph(table.values())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (replace_in(IntLinear(name="fc", inputs=["nowhere"], weight=FC.weight)), "fc: reads 'nowhere', which is not"),
        (
            replace_in(IntLinear(name="fc", inputs=["fc"], weight=FC.weight)),
            r"fc: reads fc, a IntLinear \(allowed: Inp",
        ),
        (replace_in(IntLinear(name="fc", inputs=["input"], weight=np.ones((3, 5)))), r"fc: weight .* = \[3, 5\] reads"),
        (
            replace_in(IntCubaLIF(name="lif", inputs=["fc"], shape=(4,), du=0, dv=0, vth=1)),
            r"lif: has shape \(4,\), but",
        ),
        (
            replace_in(Linear(name="fc", inputs=["input"], weight=FC.weight)),
            "fc: is float in a graph that mixes stages",
        ),
        (replace_in(Input(name="second", shape=(2,))), "has 2 Input nodes"),
        (replace_in(IntLinear(name="rec", inputs=["lif"], weight=np.eye(3))), "rec: a connection feeds one population"),
        (
            replace_in(
                IntLinear(name="rec", inputs=["lif"], weight=np.eye(3)),
                IntCubaLIF(name="lif", inputs=["fc", "rec"], shape=(3,), du=0, dv=0, vth=1),
            ),
            "form a loop without delay",
        ),
        (lambda: Graph([IN, IN, FC, POP, OUT]), "input: the name is given to several nodes"),
        (lambda: IntLinear(name="fc", inputs=["input"], weight=[[0.5]]), "fc: weight must hold whole numbers"),
        (lambda: Linear(name="fc", inputs=["input"], weight=[[np.nan]]), "fc: weight holds 1 NaN or infinite of 1"),
        (lambda: IntCubaLIF(name="l", inputs=["a"], shape=(2,), du=0, dv=0, vth=[1, 2, 3]), r"vth has shape \(3,\)"),
        (lambda: LIF(name="l", inputs=["a"], shape=(2,), beta=1.5, vth=1.0), r"l: beta = 1.5 \(allowed 0..1\)"),
        (lambda: Input(name="x", shape=(2,), kind="analog"), "kind 'analog' is unknown"),
        (lambda: Input(name="x", shape=(2,), bound=3), "bound 3 for kind 'spike'"),
        (lambda: Input(name="x", shape=()), "must have at least one positive dimension"),
    ],
)
def test_malformed_graphs(make, message):
    with pytest.raises(GraphError, match=message):
        make()


def test_all_violations_come_together():
    with pytest.raises(ResourceError) as caught:
        sm.compile(
            replace_in(
                IntLinear(name="fc", inputs=["input"], weight=[[3, -400], [0, 2], [2, 2]], weight_exp=9),
                IntCubaLIF(name="lif", inputs=["fc"], shape=(3,), du=5000, dv=0, vth=1 << 17, bias_mant=9000),
            )(),
            "loihi2",
        )
    message = str(caught.value)
    for part in (
        "fc: weight = -400..3 (allowed -256..254)",
        "fc: weight_exp = 9 (allowed -8..7)",
        "fc: 1 weights are not multiples",
        "lif: vth = 131072 (allowed 0..131071)",
        "lif: du = 5000",
        "lif: bias_mant = 9000 (allowed -4096..4095)",
    ):
        assert part in message


def test_a_current_that_would_wrap_twice_is_refused():
    graph = Graph([
        Input(name="input", shape=(600,)),
        IntLinear(name="fc", inputs=["input"], weight=np.full((1, 600), 254), weight_exp=2),
        IntCubaLIF(name="lif", inputs=["fc"], shape=(1,), du=0, dv=0, vth=1),
        OUT,
    ])  # fmt: skip
    with pytest.raises(ResourceError, match=r"lif: bound on \|u\| = \d+ \(allowed 0..25165824\)"):
        sm.compile(graph, "reference")


@pytest.mark.parametrize(
    ("spikes", "message"),
    [
        (np.ones((4, 2), np.uint8), r"input: spikes have shape \[4, 2\] \(allowed \[T, B, 2\]\). Hint: add a batch"),
        (np.ones((4, 1, 3), np.uint8), r"spikes have shape \[4, 1, 3\] \(allowed \[T, B, 2\]\)"),
        (np.ones((4, 0, 2), np.uint8), "are empty"),
        (np.ones((4, 1, 2)), r"spikes have dtype float64 \(allowed: bool or an integer type\)"),
        (torch.ones(4, 1, 2), "spikes have dtype float32"),
        (np.full((4, 1, 2), 2), r"spikes hold values 2..2 \(allowed 0..1\)"),
        (np.full((4, 1, 2), -1), r"spikes hold values -1..-1 \(allowed 0..1\)"),
        (np.array([["a"]]), "have shape"),
    ],
)
def test_bad_spikes(spikes, message):
    program = sm.compile(Graph([IN, FC, POP, OUT]), "reference")
    with pytest.raises(DataError, match=message):
        program.run(spikes)


def test_bad_record():
    program = sm.compile(Graph([IN, FC, POP, OUT]), "reference")
    with pytest.raises(DataError, match="record: weight, x cannot be recorded"):
        program.run(np.ones((4, 1, 2), np.uint8), record=["weight", "x"])


def test_unknown_target():
    with pytest.raises(TargetError, match=r"truenorth: no such target. There are: .*reference"):
        sm.compile(Graph([IN, FC, POP, OUT]), "truenorth")


def test_a_float_graph_is_refused_where_integers_run():
    graph = Graph([IN, Linear(name="fc", inputs=["input"], weight=np.ones((3, 2))),
                   LIF(name="lif", inputs=["fc"], shape=(3,), beta=0.9, vth=1.0), OUT])  # fmt: skip
    with pytest.raises(UnsupportedNodeError, match=r"is a float graph; loihi2 runs integer graphs. Hint: sm.quantize"):
        sm.compile(graph, "loihi2")
    with pytest.raises(GraphError, match="equality is promised for integer graphs"):
        sm.verify(graph, ["reference"], np.ones((4, 1, 2), np.uint8))


def test_readouts_give_v_and_its_scale():
    graph = Graph([IN, FC, IntLI(name="li", inputs=["fc"], shape=(3,), dv=0, scale=0.5),
                   Output(name="output", inputs=["li"])])  # fmt: skip
    result = sm.compile(graph, "reference").run(np.ones((2, 1, 2), np.uint8))
    np.testing.assert_array_equal(result.output[:, 0], np.array([[-2, 14, 2], [-4, 28, 4]]) * 64)
    assert result.output.dtype == np.int32
    assert result.output_scale == 0.5
