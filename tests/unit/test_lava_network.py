"""What a network records, and how its parts are replaced."""

import numpy as np
import pytest

import seamount as sm
from seamount.ir import Graph, Input, IntConv, Output
from seamount.neurons import IntCubaLIF
from seamount.passes.schedule import schedule
from seamount.testing import random_graph, random_spikes

pytest.importorskip("lava")
from seamount_targets.lava.memory import shared_zeros
from seamount_targets.lava.network import Network, flat, matrix
from seamount_targets.lava.runner import Job, run


def test_taps_record_what_leaves_a_port_and_what_a_variable_holds():
    """In chip time: row t is chip step t + 1, and a connection delivers one step after it receives."""

    class Recorded(Network):
        def __init__(self, *args):
            super().__init__(*args)
            weight = self.graph.connections[0].weight
            self.traces["input"] = {"s_out": shared_zeros((self.steps, weight.shape[1]), np.int32)}
            self.traces["fc1"] = {
                "a_out": shared_zeros((self.steps, weight.shape[0]), np.int32),
                "weights": shared_zeros((1, *weight.shape), np.int32),
            }

    graph = random_graph(np.random.default_rng(0), depth=2, weight_exp=(1, 1))
    x = random_spikes(np.random.default_rng(1), graph, 5, 3)
    network = Recorded(graph, schedule(graph), x, frozenset())
    run(Job(network.build, network.steps, "fixed_pt", timeout=60))

    weight, sent, recorded = graph.connections[0].weight, network.traces["input"]["s_out"], network.traces["fc1"]
    np.testing.assert_array_equal(sent, [*x.swapaxes(0, 1).reshape(15, -1), *np.zeros((2, x.shape[2]))])
    np.testing.assert_array_equal(recorded["a_out"][1:], sent[:-1] @ weight.T << 1)
    np.testing.assert_array_equal(recorded["weights"], weight[None])


def test_results_are_in_canonical_time():
    graph = random_graph(np.random.default_rng(0), depth=3)
    network = Network(graph, schedule(graph), np.zeros((4, 2, *graph.input.shape), np.uint8), frozenset())
    chip = np.tile(np.arange(network.steps)[:, None], graph["pop2"].size)
    assert network.steps == 4 * 2 + 3
    np.testing.assert_array_equal(network.canonical("pop2", chip)[..., 0], [[2, 6], [3, 7], [4, 8], [5, 9]])


def test_a_stream_may_start_late():
    graph = random_graph(np.random.default_rng(0), depth=1)
    x = random_spikes(np.random.default_rng(1), graph, 4, 2)
    network = Network(graph, schedule(graph), x, frozenset())
    rows = network.stream(x[..., :3], start=2)
    np.testing.assert_array_equal(rows, [*np.zeros((2, 3)), *x[:, 0, :3], *x[:, 1, :3]])


def test_a_population_in_a_row_keeps_its_parameters():
    """One number stays one; one a channel and one a neuron become one a neuron."""
    node = IntCubaLIF(
        name="pop", inputs=("conv",), shape=(2, 2, 3), vth=np.array([5, 6]).reshape(2, 1, 1), du=4095,
        dv=np.arange(12).reshape(2, 2, 3),
    )  # fmt: skip
    row = flat(node)
    assert row.shape == (12,)
    assert row.du.shape == row.bias_mant.shape == ()
    np.testing.assert_array_equal(row.vth, [5] * 6 + [6] * 6)
    np.testing.assert_array_equal(row.dv, np.arange(12))


def large() -> Graph:
    """As in MNIST's recipe: as a matrix, the second convolution has 59 million entries."""
    rng = np.random.default_rng(0)

    def layer(i, source, shape, weights, **geometry):
        weight = 2 * rng.integers(-40, 41, weights)
        return [
            IntConv(name=f"conv{i}", inputs=(source,), weight=weight, weight_exp=i, **geometry),
            IntCubaLIF(name=f"pop{i}", inputs=(f"conv{i}",), shape=shape, vth=300, du=4095, dv=400),
        ]

    layers = layer(1, "input", (12, 28, 28), (12, 1, 5, 5), padding=2)
    layers += layer(2, "pop1", (32, 14, 14), (32, 12, 6, 6), stride=2, padding=2)
    return Graph([Input(name="input", shape=(1, 28, 28)), *layers, Output(name="output", inputs=("pop2",))])


def test_large_convolutions_run_on_what_they_have_of_synapses():
    graph = large()
    synapses = matrix(graph["conv2"], (12, 28, 28))
    assert synapses.shape == (6272, 9408)
    assert synapses.nnz == graph.synapses(graph["conv2"]) == np.count_nonzero(synapses.data) < 59_006_976 // 20
    spikes = random_spikes(np.random.default_rng(1), graph, 4, 2)
    assert sm.verify(graph, ["reference", "lava"], spikes).ok
    assert sm.compile(graph, "reference").run(spikes).output.any()
