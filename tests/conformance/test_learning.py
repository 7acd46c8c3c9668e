"""Learning is the same everywhere: after every step the emulator has Lava's weights, and its spikes and v."""

from dataclasses import replace

import numpy as np
import pytest

import seamount as sm
from seamount import targets
from seamount.errors import TargetError
from seamount.fixed_point import ACT_SHIFT
from seamount.ir import Graph, Input, IntLinear, Output
from seamount.learning import OTTT
from seamount.neurons import IntCubaLIF
from seamount.testing import random_graph, random_spikes

LEARNERS = [name for name in targets.names() if name != "loihi2" and getattr(targets.find(name), "learns", False)]
RECORD = ("spikes", "v", "weights")


def feed_forward(rng, **changes) -> Graph:
    return random_graph(rng, **{"depth": 1, "width": 16, "neuron": "lif", **changes})


def recurrent(rng) -> Graph:
    """Two populations, the first with a recurrent edge; CuBa neurons, each with its own threshold and decays."""
    graph = random_graph(rng, depth=2, width=16, recurrent=2, reset="subtract", per_neuron=True)
    post = replace(graph["pop2"], inputs=("fc2",))
    return Graph([post if n.name == "pop2" else n for n in graph if n.name != "rec2"], graph.name)


def restless(rng) -> Graph:
    """Hidden neurons whose bias alone makes them fire at once, on the chip even before their first sample."""
    hidden = IntCubaLIF(name="hidden", inputs=("fc1",), shape=(9,), du=4095, dv=400, vth=50, bias_mant=3500)
    assert np.all(hidden.bias > hidden.vth << ACT_SHIFT)
    weight = 2 * rng.integers(-60, 60, (9, 12)), 2 * rng.integers(-60, 60, (7, 9))
    return Graph(
        [
            Input(name="input", shape=(12,)),
            IntLinear(name="fc1", inputs=("input",), weight=weight[0]),
            hidden,
            IntLinear(name="fc2", inputs=("hidden",), weight=weight[1], weight_exp=-1),
            IntCubaLIF(name="out", inputs=("fc2",), shape=(7,), du=4095, dv=800, vth=90, reset="subtract"),
            Output(name="output", inputs=("out",)),
        ]
    )


CASES = {
    "input to output, lambda 0.5, zero": (feed_forward, {"reset": "zero"}, {"lr": 1.0, "beta": 0.5}),
    "lambda 0.9, subtract, large rate": (feed_forward, {"reset": "subtract"}, {"lr": 100.0, "beta": 0.9, "seed": 5}),
    "hidden, no reset, small rate": (
        feed_forward,
        {"depth": 3, "reset": "none"},
        {"lr": 0.1, "beta": 0.8, "floor": 0.2},
    ),
    "recurrent and current-based": (recurrent, {}, {"lr": 3.0, "beta": 0.95, "width": 0.7}),
    "fires before its first sample": (restless, {}, {"lr": 2.0}),
}


def case(name: str, steps: int = 11, batch: int = 48):
    build, options, rule = CASES[name]
    rng = np.random.default_rng(list(CASES).index(name))
    graph = build(rng, **options)
    labels = rng.integers(0, graph.output.size, batch)
    learn = {graph.output.inputs[0]: OTTT(**rule)}
    return graph, random_spikes(rng, graph, steps, batch), labels, learn


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("config", CASES)
def test_same_weights_after_every_step(name, config):
    graph, spikes, labels, learn = case(config)
    (connection,) = learn
    try:
        program = sm.compile(graph, name, learn=learn)
    except TargetError as error:
        pytest.skip(f"{name} is not installed: {str(error).splitlines()[0]}")
    got = program.run(spikes, labels=labels, record=RECORD)
    want = sm.compile(graph, "loihi2", learn=learn).run(spikes, labels=labels, record=RECORD)

    trace = want.weight_trace[connection]
    assert trace.shape == (spikes.shape[0] * spikes.shape[1], *graph[connection].weight.shape)
    changes = np.count_nonzero(np.diff(trace, axis=0).any(axis=(1, 2)))
    assert changes > len(trace) / 8, "the test needs weights that change"
    np.testing.assert_array_equal(got.weight_trace[connection], trace)
    np.testing.assert_array_equal(got.weights[connection], trace[-1])
    for node in graph.populations:
        np.testing.assert_array_equal(got.v[node.name], want.v[node.name], err_msg=node.name)
        np.testing.assert_array_equal(got.spikes[node.name], want.spikes[node.name], err_msg=node.name)
    np.testing.assert_array_equal(got.output, want.output)
    assert want.output.any()


def test_the_cases_go_to_the_limits():
    """The large rate drives weights into both limits, and odd weights occur, which only learning can make."""
    graph, spikes, labels, learn = case("lambda 0.9, subtract, large rate")
    weights = sm.compile(graph, "loihi2", learn=learn).run(spikes, labels=labels, record=RECORD).weight_trace["fc1"]
    assert weights.min() == -256
    assert weights.max() == 255
    assert np.any(weights % 2)


@pytest.mark.parametrize("config", CASES)
def test_learned_graphs_run_on_every_exact_target(config):
    graph, spikes, labels, learn = case(config, batch=12)
    (connection,) = learn
    result = sm.compile(graph, "loihi2", learn=learn).run(spikes, labels=labels)
    learned = result.learned(graph)
    np.testing.assert_array_equal(learned[connection].weight, result.weights[connection] & ~1)
    assert graph[connection].weight is not learned[connection].weight
    sm.verify(learned, ["reference", "loihi2"], spikes).check()
