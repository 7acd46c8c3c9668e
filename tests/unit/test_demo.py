"""The demo's own promises, on a network that has hardly been trained."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

import seamount as sm
from seamount.testing import random_graph
from seamount_models import demo, recipes


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """The demo with a recipe of two epochs; returns what it printed, and whether all agreed."""
    digits = recipes.load("digits")
    recipe = replace(digits, training={**digits.training, "epochs": 2}, fine_tuning={**digits.fine_tuning, "epochs": 1})
    monkeypatch.setattr(recipes, "load", lambda name: recipe)
    monkeypatch.setattr(demo, "LAVA_SAMPLES", 5)
    monkeypatch.setattr(demo, "LAVA_LEARNING_SAMPLES", 3)

    def run():
        out = io.StringIO()
        ok = demo.run(tmp_path / "report.html", console=Console(file=out, width=80))
        return ok, out.getvalue(), (tmp_path / "report.html").read_text()

    return run


def test_it_trains_compares_everything_and_learns(quick):
    ok, printed, page = quick()
    assert ok
    for label in demo.LABELS.values():
        assert label in printed
        assert label in page
    assert "weights: 48, equal: 48" in printed
    assert "everything agrees" in printed


def test_it_fails_where_something_differs(quick, monkeypatch):
    lower = sm.lower

    def broken(net, **options):
        graph = lower(net, **options)
        return graph.with_nodes(replace(graph["lif1"], vth=graph["lif1"].vth + 1))

    monkeypatch.setattr(sm, "lower", broken)
    ok, printed, page = quick()
    assert not ok
    assert "NOT everything agrees" in printed
    assert "torch says" in printed
    assert "torch says" in page


def test_wiped_weights_are_random_and_loadable():
    rng = np.random.default_rng(0)
    graph = random_graph(rng)
    weight = demo.wiped(graph, "fc2", rng)["fc2"].weight
    assert not (weight % 2).any()
    assert np.abs(weight).max() <= 32
    assert (weight != graph["fc2"].weight).mean() > 0.9
