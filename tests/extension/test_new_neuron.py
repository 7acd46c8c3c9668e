"""A new neuron is one class with its step: every built-in target runs it, files keep it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from numba.extending import register_jitable

import seamount as sm
from seamount import targets
from seamount.errors import UnsupportedNodeError
from seamount.fixed_point import ACT_SHIFT, clip, decay
from seamount.ir import NODE_TYPES, Population
from seamount.testing import random_graph, random_spikes


@register_jitable
def adaptive_step(a, v, theta, rv, rt, vth, up):
    """LIF whose threshold rises by `up` with each spike and decays back."""
    v = clip(decay(v, rv) + (a << ACT_SHIFT))
    theta = decay(theta, rt)
    s = v > vth + theta
    return s, v - s * v, theta + s * up


@pytest.fixture
def adaptive():
    @dataclass(frozen=True, eq=False, kw_only=True)
    class IntAdaptive(Population):
        rv: np.ndarray
        rt: np.ndarray
        vth: np.ndarray
        up: np.ndarray

        stage: ClassVar[str | None] = "integer"
        STATE: ClassVar[tuple[str, ...]] = ("v", "theta")
        ARRAYS: ClassVar[dict[str, type]] = dict.fromkeys(("rv", "rt", "vth", "up"), np.int64)
        step = staticmethod(adaptive_step)

        def constants(self):
            return self.rv, self.rt, self.vth << ACT_SHIFT, self.up

    yield IntAdaptive
    del NODE_TYPES["IntAdaptive"]


def network(adaptive):
    rng = np.random.default_rng(0)
    graph = random_graph(rng, depth=3, neuron="lif", recurrent=1, per_neuron=True)
    old = graph["pop2"]
    assert hasattr(old, "vth")
    new = adaptive(name="pop2", inputs=old.inputs, shape=old.shape, rv=3700, rt=np.full(old.shape, 4000),
                   vth=np.abs(old.vth) // 2, up=(np.abs(old.vth) << ACT_SHIFT) // 8)  # fmt: skip
    graph = graph.with_nodes(new)
    x = random_spikes(rng, graph, 30, 5)
    return graph, x


def test_it_runs_wherever_steps_run_and_is_saved(adaptive, tmp_path):
    graph, x = network(adaptive)
    report = sm.verify(graph, ["reference", "onnxruntime", "loihi2"], x).check()
    rate = report.results["reference"].spikes["pop2"].mean()
    static = (
        sm.compile(graph.with_nodes(replace(graph["pop2"], up=0)), "reference").run(x, ["spikes"]).spikes["pop2"].mean()
    )
    assert 0.01 < rate < static
    sm.save(graph, tmp_path / "net.onnx")
    sm.verify(sm.load(tmp_path / "net.onnx"), ["reference", sm.compile(graph, "reference")], x).check()


def test_lava_runs_it_too(adaptive):
    pytest.importorskip("lava")
    graph, x = network(adaptive)
    sm.verify(graph, ["reference", "lava"], x[:, :2]).check()


def test_a_target_with_code_for_each_neuron_refuses_it_by_name(adaptive):
    class Fixed(targets.Target):
        name = "fixed"
        special = frozenset({"Input", "Output", "IntLinear", "IntCubaLIF"})

        def compile(self, graph, learn=None, **options):
            raise NotImplementedError

    graph, _ = network(adaptive)
    with pytest.raises(UnsupportedNodeError, match=r"pop2: IntAdaptive does not run on fixed \(allowed: Input, "):
        Fixed().check(graph)
