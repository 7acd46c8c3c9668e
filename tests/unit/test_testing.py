"""The networks that other tests draw are legal and alive."""

import numpy as np
import pytest

import seamount as sm
from seamount.errors import GraphError
from seamount.limits import Limits, violations
from seamount.testing import NEURONS, as_float, random_graph, random_spikes


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize(
    ("neuron", "kind", "bound"),
    [*((n, "spike", 1) for n in NEURONS), ("lif", "signed", 100), ("cuba", "graded", 1_000_000)],
)
def test_random_networks_are_legal_and_alive(reset, neuron, kind, bound):
    rates = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng, depth=3, neuron=neuron, reset=reset, kind=kind, bound=bound, per_neuron=seed % 2 == 1,
                             skip=seed % 3 == 0, recurrent=seed // 2, feedback=3 * (seed % 2))  # fmt: skip
        assert violations(graph, Limits()) == []
        spikes = random_spikes(rng, graph, 30, 4)
        assert spikes.dtype == graph.input.dtype
        rates += [
            (s != 0).mean() for s in sm.compile(graph, "reference").run(spikes, record=["spikes"]).spikes.values()
        ]
    assert 0.1 < np.median(rates) < 0.45
    assert np.mean(np.array(rates) < 0.02) < 0.1


def test_the_same_generator_gives_the_same_network():
    first, second = (str(random_graph(np.random.default_rng(3), depth=3, readout=True)) for _ in range(2))
    assert first == second


def test_the_float_form_is_the_same_network():
    rng = np.random.default_rng(1)
    graph = random_graph(rng, depth=2, readout=True)
    spikes = random_spikes(rng, graph, 12, 3)
    integer = sm.compile(graph, "reference").run(spikes).output
    real = sm.compile(as_float(graph), "reference").run(spikes).output * 2.0**14
    assert np.corrcoef(integer.ravel(), real.ravel())[0, 1] > 0.9


def test_an_unknown_neuron_is_refused():
    with pytest.raises(GraphError, match=r"neuron 'izhikevich' is unknown\. Allowed: cuba, lif, "):
        random_graph(np.random.default_rng(0), neuron="izhikevich")
