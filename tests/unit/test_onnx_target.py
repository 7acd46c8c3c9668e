"""onnxruntime, running the exported graph, returns the bits of the reference; step by step too."""

import itertools
import sys

import numpy as np
import onnxruntime
import pytest

import seamount as sm
from seamount.errors import ResourceError, TargetError
from seamount.interchange.onnx import to_model
from seamount.ir import Graph, Input, IntLinear, Output
from seamount.neurons import IntCubaLIF, IntLI
from seamount.testing import random_graph, random_spikes

NETWORKS = {
    "zero": {},
    "subtract": {"reset": "subtract", "per_neuron": True},
    "none": {"reset": "none", "neuron": "lif"},
    "readout": {"readout": True, "depth": 3, "per_neuron": True},
    "recurrent": {"recurrent": 1, "depth": 2, "readout": True},
    "feedback": {"recurrent": 3, "feedback": 2, "depth": 3, "skip": True, "reset": "subtract"},
    "negative exponents": {"weight_exp": (-8, -4), "recurrent": 2},
    "positive exponents": {"weight_exp": (2, 6), "skip": True, "depth": 3},
    "signed": {"kind": "signed", "bound": 127, "skip": True, "weight_exp": (-6, 0)},
    "graded": {"kind": "graded", "bound": 100_000, "readout": True, "weight_exp": (-8, -2)},
}


def assert_same(got, want) -> None:
    for name in ("output", "output_scale"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name))
    assert got.output.dtype == want.output.dtype
    for what in ("spikes", "v"):
        mine, theirs = getattr(got, what), getattr(want, what)
        assert list(mine) == list(theirs)
        for name in theirs:
            assert mine[name].dtype == theirs[name].dtype
            np.testing.assert_array_equal(mine[name], theirs[name], err_msg=f"{what} of {name}")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", NETWORKS)
def test_every_bit_is_that_of_the_reference(kind, seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, **NETWORKS[kind])
    spikes = random_spikes(rng, graph, 25, 3)
    got, want = (sm.compile(graph, t).run(spikes, record=("spikes", "v")) for t in ("onnxruntime", "reference"))
    assert_same(got, want)


def test_saturation_and_wrapping_are_those_of_the_reference():
    """Weights so large that u wraps and v saturates in both directions."""
    rng = np.random.default_rng(0)
    graph = Graph([
        Input(name="input", shape=(8,)),
        IntLinear(name="fc", inputs=["input"], weight=2 * rng.integers(-127, 127, (16, 8)), weight_exp=7),
        IntCubaLIF(name="lif", inputs=["fc"], shape=(16,), du=3000, dv=20, vth=120_000, bias_mant=-9, bias_exp=4),
        IntLinear(name="fc2", inputs=["lif"], weight=2 * rng.integers(-127, 127, (4, 16)), weight_exp=6),
        IntLI(name="li", inputs=["fc2"], shape=(4,), dv=3, scale=0.25),
        Output(name="output", inputs=["li"]),
    ])  # fmt: skip
    spikes = random_spikes(rng, graph, 60, 4, rate=0.6)
    got, want = (sm.compile(graph, t).run(spikes, record=("spikes", "v")) for t in ("onnxruntime", "reference"))
    assert_same(got, want)
    assert got.output_scale == 0.25
    assert {got.v["lif"].min(), got.v["li"].max(), -got.v["li"].min()} == {-(2**23 - 1), 2**23 - 1}


def test_only_what_is_asked_for_is_recorded():
    rng = np.random.default_rng(0)
    graph = random_graph(rng, readout=True, depth=3)
    program = sm.compile(graph, "onnxruntime")
    spikes = random_spikes(rng, graph, 5, 2)
    for record in [(), ("v",), ("spikes",)]:
        got, want = program.run(spikes, record), sm.compile(graph, "reference").run(spikes, record)
        assert_same(got, want)


def test_batches_and_lengths_may_differ_between_runs():
    rng = np.random.default_rng(0)
    graph = random_graph(rng, recurrent=2)
    program, reference = sm.compile(graph, "onnxruntime"), sm.compile(graph, "reference")
    for steps, batch in itertools.product((1, 7), (1, 5)):
        spikes = random_spikes(rng, graph, steps, batch)
        np.testing.assert_array_equal(program.run(spikes).output, reference.run(spikes).output)


@pytest.mark.parametrize("recurrent", [0, 1])
def test_float_graphs_agree_to_rounding(recurrent):
    rng = np.random.default_rng(2)
    graph = random_graph(rng, stage="float", readout=True, recurrent=recurrent, reset="subtract")
    spikes = random_spikes(rng, graph, 20, 3)
    got, want = (sm.compile(graph, t).run(spikes, record=("spikes", "v")) for t in ("onnxruntime", "reference"))
    np.testing.assert_array_equal(got.spikes["pop1"], want.spikes["pop1"])
    for name, v in want.v.items():
        assert got.v[name].dtype == np.float64
        np.testing.assert_allclose(got.v[name], v, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["readout", "feedback", "graded"])
def test_single_steps_in_a_loop_equal_the_scan(kind):
    rng = np.random.default_rng(7)
    graph = random_graph(rng, **NETWORKS[kind])
    spikes = random_spikes(rng, graph, 20, 3)
    step, scan = (onnxruntime.InferenceSession(to_model(graph, f).SerializeToString()) for f in ("step", "scan"))
    types = {"tensor(int64)": np.int64, "tensor(uint8)": np.uint8}
    state = {
        i.name: np.zeros([3 if d == "B" else d for d in i.shape], types[i.type])
        for i in step.get_inputs()
        if i.name != "input"
    }
    names, seen = [o.name for o in step.get_outputs()], []
    for x in spikes:
        out = dict(zip(names, step.run(None, {"input": x, **state}), strict=True))
        state = {name: out[name.removesuffix(".last")] for name in state}
        seen.append(out)
    whole = {o.name: a for o, a in zip(scan.get_outputs(), scan.run(None, {"input": spikes}), strict=True)}
    assert {"output", "pop1.spikes", "pop1.v"} <= set(whole)
    for name, array in whole.items():
        np.testing.assert_array_equal(np.stack([out[name] for out in seen]), array)


def test_a_graph_outside_its_limits_is_refused():
    rng = np.random.default_rng(0)
    graph = random_graph(rng)
    fc = graph["fc1"]
    assert isinstance(fc, IntLinear)
    with pytest.raises(ResourceError, match=r"fc1: weight = .*(allowed -32768\.\.32768)"):
        sm.compile(graph.with_weight("fc1", fc.weight * 1000), "onnxruntime")


def test_without_onnxruntime_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(TargetError, match=r"onnxruntime: is not installed\. Hint: pip"):
        sm.compile(random_graph(np.random.default_rng(0)), "onnxruntime")


def test_a_failing_run_is_a_target_error(monkeypatch):
    rng = np.random.default_rng(0)
    graph = random_graph(rng)
    program = sm.compile(graph, "onnxruntime")

    class Broken:
        def run(self, *_):
            raise RuntimeError("out of memory")

    monkeypatch.setattr(program, "session", Broken())
    with pytest.raises(TargetError, match="random: onnxruntime failed: out of memory"):
        program.run(random_spikes(rng, graph, 3, 1))
