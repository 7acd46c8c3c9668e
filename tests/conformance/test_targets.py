"""Every target gives what the reference gives: bit for bit on integer graphs, within rounding on float ones.

A target that is added joins by being found; networks beyond its limits are skipped for it.
"""

import zlib

import numpy as np
import pytest

import seamount as sm
from seamount import targets
from seamount.errors import DataError, ResourceError, TargetError
from seamount.ir import Graph, Input, IntLinear, Output
from seamount.neurons import IntCubaLIF, IntLI
from seamount.program import Program
from seamount.testing import random_graph, random_spikes

NETWORKS = {
    "one layer": {"depth": 1},
    "deep, one neuron like the other": {"depth": 4, "width": 12},
    "lif, subtract": {"depth": 3, "neuron": "lif", "reset": "subtract"},
    "subtract by other than vth, every neuron its own": {"depth": 2, "reset": "subtract", "per_neuron": True},
    "no reset": {"depth": 2, "neuron": "lif", "reset": "none", "per_neuron": True},
    "readout": {"depth": 3, "readout": True, "per_neuron": True},
    "readout alone": {"depth": 1, "readout": True, "neuron": "lif"},
    "skip": {"depth": 4, "skip": True, "per_neuron": True},
    "recurrent": {"depth": 2, "recurrent": 1, "width": 24},
    "recurrent, slow": {"depth": 2, "recurrent": 4, "reset": "subtract", "readout": True},
    "feedback": {"depth": 3, "feedback": 3, "per_neuron": True, "recurrent": 1},
    "everything": {"depth": 4, "feedback": 6, "recurrent": 2, "skip": True, "readout": True, "per_neuron": True},
    "signed input": {"depth": 2, "kind": "signed", "bound": 127, "skip": True},
    "graded input": {"depth": 2, "kind": "graded", "bound": 30000, "readout": True},
    "sums shifted left": {"depth": 2, "weight_exp": (1, 4), "neuron": "lif"},
    "sums shifted right": {"depth": 2, "weight_exp": (-6, -1), "recurrent": 1},
    "refractory": {"depth": 3, "neuron": "refractory", "recurrent": 1, "per_neuron": True, "reset": "subtract"},
    "refractory, readout": {"depth": 3, "neuron": "refractory", "readout": True},
    "adaptive": {"depth": 3, "neuron": "alif", "recurrent": 1, "per_neuron": True},
    "adaptive, subtract": {"depth": 3, "neuron": "alif", "readout": True, "skip": True, "reset": "subtract"},
    "ternary": {"depth": 3, "neuron": "ternary", "recurrent": 2, "per_neuron": True, "reset": "subtract"},
    "ternary, shifted right": {"depth": 3, "neuron": "ternary", "skip": True, "weight_exp": (-6, -1)},
    "ternary, feedback": {"depth": 3, "neuron": "ternary", "feedback": 3, "recurrent": 1, "weight_exp": (-4, 2)},
    "resonators": {"depth": 3, "neuron": "resonate", "per_neuron": True, "readout": True},
    "resonators, recurrent": {"depth": 2, "neuron": "resonate", "recurrent": 2, "skip": True},
    "graded spikes": {"depth": 3, "neuron": "graded", "skip": True, "reset": "subtract"},
    "graded spikes, recurrent": {
        "depth": 2,
        "neuron": "graded",
        "weight_exp": (6, 7),
        "recurrent": 2,
        "per_neuron": True,
    },
    "graded spikes, feedback": {"depth": 3, "neuron": "graded", "feedback": 3, "readout": True},
    "graded spikes, convolutions": {"depth": 3, "neuron": "graded", "conv": 2},
    "sigma-delta": {"depth": 3, "neuron": "sigma-delta", "skip": True},
    "sigma-delta, recurrent": {
        "depth": 3,
        "neuron": "sigma-delta",
        "weight_exp": (6, 7),
        "recurrent": 1,
        "per_neuron": True,
        "readout": True,
    },
    "sigma-delta, convolutions": {"depth": 3, "neuron": "sigma-delta", "conv": 2},
    "convolutions": {"depth": 3, "conv": 2},
    "convolutions, every channel or neuron its own": {"depth": 3, "conv": 3, "per_neuron": True, "reset": "subtract"},
    "convolutions, recurrent, slow": {"depth": 3, "conv": 2, "recurrent": 2, "per_neuron": True, "readout": True},
    "convolutions, skip and feedback": {"depth": 3, "conv": 2, "skip": True, "feedback": 4, "weight_exp": (-4, 0)},
    "convolutions, nothing else": {"depth": 2, "conv": 2, "skip": True, "recurrent": 1, "neuron": "lif"},
    "convolutions of signed events": {"depth": 2, "conv": 1, "kind": "signed", "bound": 127},
    "convolutions of graded input": {"depth": 2, "conv": 2, "kind": "graded", "bound": 30000, "readout": True},
}
OTHERS = [name for name in targets.names() if name != "reference"]


def program(graph: Graph, name: str) -> Program:
    try:
        return sm.compile(graph, name)
    except TargetError as error:
        pytest.skip(f"{name} is not installed: {str(error).splitlines()[0]}")
    except ResourceError as error:
        pytest.skip(f"beyond {name}: {str(error).splitlines()[0]}")


def network(case: str, **changes) -> tuple[Graph, np.ndarray]:
    rng = np.random.default_rng(zlib.crc32(case.encode()))
    graph = random_graph(rng, **{**NETWORKS[case], **changes})
    return graph, random_spikes(rng, graph, steps=int(rng.integers(9, 17)), batch=4)


@pytest.fixture(params=OTHERS)
def name(request):
    return request.param


@pytest.mark.parametrize("case", NETWORKS)
def test_integer_networks_give_the_same_bits(name, case):
    graph, spikes = network(case)
    want = sm.compile(graph, "reference").run(spikes, record=("spikes", "v"))
    got = program(graph, name).run(spikes, record=("spikes", "v"))
    assert want.output.any()
    assert got.output.dtype == want.output.dtype
    np.testing.assert_array_equal(got.output, want.output)
    for what in ("v", "spikes"):
        assert getattr(got, what).keys() == getattr(want, what).keys()
        for node, values in getattr(want, what).items():
            assert getattr(got, what)[node].dtype == values.dtype
            np.testing.assert_array_equal(getattr(got, what)[node], values, f"{what} of {node}")


@pytest.mark.parametrize("case", ["deep, one neuron like the other", "everything", "no reset", "signed input",
                                  "refractory", "adaptive, subtract", "ternary", "resonators, recurrent",
                                  "graded spikes, feedback", "sigma-delta",
                                  "convolutions, recurrent, slow"])  # fmt: skip
def test_float_networks_agree_within_rounding(name, case):
    if "float" not in targets.find(name).stages:
        pytest.skip(f"{name} runs integer graphs only")
    graph, spikes = network(case, stage="float")
    want = sm.compile(graph, "reference").run(spikes, record=("spikes", "v"))
    got = program(graph, name).run(spikes, record=("spikes", "v"))
    for node, values in want.spikes.items():
        assert got.spikes[node].dtype == values.dtype
        np.testing.assert_array_equal(got.spikes[node] != 0, values != 0, f"spikes of {node}")
        np.testing.assert_allclose(got.spikes[node], values, rtol=1e-9, err_msg=f"spikes of {node}")
    for node, values in want.v.items():
        np.testing.assert_allclose(got.v[node], values, rtol=1e-9, atol=1e-9, err_msg=f"v of {node}")


def test_the_edges_of_24_bits(name):
    """u wraps, v saturates, decays round toward zero, thresholds are strict, weights may all be -256."""
    weight = np.array([[254, 254], [-256, -256], [2, 0], [-2, 0]])
    du, dv, bias = np.array([0, 0, 4095, 300]), np.array([0, 0, 7, 4095]), np.array([4095, -4096, 1, 0])
    graph = Graph(
        [
            Input(name="input", shape=(2,), kind="graded", bound=120),
            IntLinear(name="fc", inputs=("input",), weight=weight, weight_exp=2),
            IntCubaLIF(name="pop", inputs=("fc",), shape=(4,), vth=np.array([131071, 131071, 8, 0]), du=du, dv=dv),
            IntLinear(name="out", inputs=("pop",), weight=np.full((4, 4), 254), weight_exp=7),
            IntLinear(name="down", inputs=("input",), weight=np.full((4, 2), -256), weight_exp=-3),
            IntLI(name="li", inputs=("out", "down"), shape=(4,), bias_mant=bias, bias_exp=7, du=du, dv=dv),
            Output(name="output", inputs=("li",)),
        ]
    )
    spikes = np.random.default_rng(0).integers(-20, 121, (40, 3, 2)).astype(np.int32)
    spikes[:3, 0] = [[1, 0], [2, 0], [0, 0]]
    want = sm.compile(graph, "reference").run(spikes, record=("spikes", "v"))
    got = program(graph, name).run(spikes, record=("spikes", "v"))
    assert want.v["li"].max() == -want.v["li"].min() == 2**23 - 1
    assert want.v["pop"][..., 0].min() < 0
    for node, values in want.v.items():
        np.testing.assert_array_equal(got.v[node], values, f"v of {node}")
    np.testing.assert_array_equal(got.spikes["pop"], want.spikes["pop"])


@pytest.mark.parametrize(("steps", "batch"), [(1, 7), (2, 3)])
def test_samples_shorter_than_the_delays_and_the_depth(name, steps, batch):
    graph, _ = network("everything")
    spikes = random_spikes(np.random.default_rng(5), graph, steps, batch, rate=0.6)
    want = sm.compile(graph, "reference").run(spikes, record=("v",))
    got = program(graph, name).run(spikes, record=("v",))
    assert any(v.any() for v in want.v.values())
    for node, values in want.v.items():
        np.testing.assert_array_equal(got.v[node], values, f"v of {node}")


def test_runs_leave_no_trace_and_keep_only_what_is_asked_for(name):
    graph, spikes = network("recurrent")
    compiled = program(graph, name)
    first = compiled.run(spikes)
    assert first.spikes == first.v == {}
    assert first.seconds > 0
    np.testing.assert_array_equal(compiled.run(spikes[:, ::-1]).output[:, ::-1], first.output)


def test_wrong_spikes_are_refused(name):
    graph, spikes = network("one layer")
    compiled = program(graph, name)
    with pytest.raises(DataError, match=r"^input: spikes have shape"):
        compiled.run(spikes[:, 0])
    with pytest.raises(DataError, match=r"^input: spikes hold values 0\.\.2"):
        compiled.run(spikes * 2)
