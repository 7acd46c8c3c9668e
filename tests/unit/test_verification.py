"""A difference is found, and named where it begins."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import seamount as sm
from seamount.errors import DivergenceError
from seamount.testing import random_graph, random_spikes


def broken(graph, population: str, **change):
    from dataclasses import replace

    return graph.with_nodes(replace(graph[population], **change))


@pytest.fixture
def case():
    rng = np.random.default_rng(3)
    graph = random_graph(rng, depth=3, recurrent=1)
    return graph, random_spikes(rng, graph, 20, 6)


def test_equal_programs(case):
    graph, x = case
    report = sm.verify(graph, ["reference", sm.compile(graph, "reference")], x).check()
    first, second = report.rows
    assert first.equal == second.values == 20 * 6 * sum(p.size for p in graph.populations)
    assert first.spikes > 100
    assert report.to_dict()["ok"] is True


def test_the_first_difference_is_named(case):
    graph, x = case
    program = sm.compile(broken(graph, "pop2", vth=graph["pop2"].vth + 1), "reference")
    report = sm.verify(graph, ["reference", program], x)
    assert not report.ok
    with pytest.raises(DivergenceError) as caught:
        report.check()
    error = caught.value
    assert error.node == "pop2"
    want = report.results["reference"]
    a = sm.compile(graph, "reference").run(x, ["spikes", "v"])
    b = program.run(x, ["spikes", "v"])
    same = [np.array_equal(a.v["pop2"][t], b.v["pop2"][t]) and np.array_equal(a.spikes["pop2"][t], b.spikes["pop2"][t])
            for t in range(20)]  # fmt: skip
    assert error.t == same.index(False)
    assert error.want == getattr(want, error.what)["pop2"][error.t, error.sample, error.neuron]
    assert f"at step {error.t} of sample {error.sample}" in str(error)


def test_samples_limits_a_slow_target(case):
    graph, x = case
    report = sm.verify(graph, ["reference", sm.compile(graph, "reference")], x, samples={"reference": 2})
    assert [(row.target, row.samples) for row in report.rows] == [("reference", 2), ("reference (2)", 2)]


def test_torch_is_a_witness():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 4, bias=False), sm.nn.LIF(0.9))
    x = (torch.rand(10, 3, 5) < 0.5).to(torch.uint8)
    qnet = sm.quantize(net, calibration=x)
    report = sm.verify(sm.lower(qnet), [qnet, "reference"], x).check()
    assert [row.target for row in report.rows] == ["torch", "reference"]
    assert report.rows[0].spikes > 0
    graph = sm.lower(qnet)
    with torch.no_grad():
        qnet[0].weight[0, 0] += 1
    assert not sm.verify(graph, ["reference", qnet], x).ok
