"""A new target is one file on the path of `seamount_targets`."""

from __future__ import annotations

import numpy as np
import pytest

import seamount as sm
import seamount_targets
from seamount.testing import random_graph, random_spikes

SOURCE = """
from seamount.targets import Target
from seamount.limits import Limits
from seamount_targets.reference import ReferenceProgram


class Tiny(Target):
    name = "tiny"
    summary = "the reference, with room for few neurons"
    limits = Limits(neurons=40)

    def compile(self, graph, learn=None):
        return ReferenceProgram(graph, self.name)


def target(name):
    return Tiny()
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    (tmp_path / "tiny.py").write_text(SOURCE)
    monkeypatch.setattr(seamount_targets, "__path__", [*seamount_targets.__path__, str(tmp_path)])


def test_it_is_found_checked_and_verified(tiny):
    assert "tiny" in sm.targets.names()
    rng = np.random.default_rng(0)
    graph = random_graph(rng, depth=2, width=8)
    x = random_spikes(rng, graph, 10, 3)
    sm.verify(graph, ["reference", "tiny"], x).check()
    with pytest.raises(sm.errors.ResourceError, match=r"neurons = \d+ \(allowed 0..40\)"):
        sm.compile(random_graph(rng, depth=4, width=20), "tiny")
