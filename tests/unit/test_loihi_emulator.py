"""The emulator returns the reference's bits, whichever way it makes its sums and however it cuts up the work."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from numba.extending import register_jitable

import seamount as sm
from seamount import targets
from seamount.errors import ResourceError, TargetError
from seamount.fixed_point import ACT_SHIFT, U_LIMIT, V_MAX, clip, decay
from seamount.ir import Graph, Input, IntLinear, Output, Population
from seamount.neurons import IntCubaLIF, IntLI
from seamount.testing import random_graph, random_spikes
from seamount_targets.loihi import chip, emulator, kernels, sums
from seamount_targets.loihi.emulator import EmulatorProgram
from seamount_targets.loihi.plan import components, plan
from seamount_targets.reference import ReferenceProgram

RECORD = ("spikes", "v")
WAYS = (None, *sums.PATHS)


def assert_same_bits(graph: Graph, x: np.ndarray, **options) -> None:
    want = ReferenceProgram(graph, "reference").run(x, RECORD)
    got = EmulatorProgram(graph, "loihi2", **options).run(x, RECORD)
    pairs = {"output": (got.output, want.output)}
    for kind in RECORD:
        a, b = getattr(got, kind), getattr(want, kind)
        assert list(a) == list(b)
        pairs |= {f"{kind} of {name}": (a[name], b[name]) for name in a}
    for what, (a, b) in pairs.items():
        assert a.dtype == b.dtype, what
        np.testing.assert_array_equal(a, b, err_msg=what)


NETWORKS = {
    "one layer": {"depth": 1, "width": 3},
    "four layers": {"depth": 4, "width": 70, "skip": True},
    "lif, subtract": {"depth": 3, "neuron": "lif", "reset": "subtract"},
    "every neuron its own": {"depth": 2, "reset": "subtract", "per_neuron": True, "readout": True, "width": 90},
    "no reset, shifted left": {"depth": 2, "reset": "none", "weight_exp": (1, 4), "neuron": "lif"},
    "shifted right": {"depth": 3, "weight_exp": (-6, -1), "recurrent": 1, "skip": True},
    "recurrent": {"depth": 3, "recurrent": 2, "readout": True},
    "feedback over three": {"depth": 4, "feedback": 3, "recurrent": 1, "per_neuron": True, "skip": True},
    "signed": {"depth": 2, "kind": "signed", "bound": 127, "skip": True},
    "graded": {"depth": 2, "kind": "graded", "bound": 30000, "skip": True, "readout": True},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", NETWORKS)
def test_random_networks(case, way):
    rng = np.random.default_rng(list(NETWORKS).index(case))
    for batch in (1, 3, 64):
        graph = random_graph(rng, **NETWORKS[case])
        assert_same_bits(graph, random_spikes(rng, graph, int(rng.integers(1, 14)), batch), path=way)


def chain(*populations: Population, weights, delays=None, kind="spike", bound=1, exps=None) -> Graph:
    """`input -> c0 -> populations[0] -> c1 -> ...`."""
    delays, exps = delays or [0] * len(weights), exps or [0] * len(weights)
    nodes: list = [Input(name="input", shape=(np.shape(weights[0])[1],), kind=kind, bound=bound)]
    for i, (node, weight) in enumerate(zip(populations, weights, strict=True)):
        nodes.append(IntLinear(name=f"c{i}", inputs=(nodes[-1].name,), weight=np.asarray(weight), delay=delays[i],
                               weight_exp=exps[i]))  # fmt: skip
        nodes.append(node)
    return Graph([*nodes, Output(name="output", inputs=(nodes[-1].name,))])


def lif(n: int, name: str = "n", **parameters) -> IntCubaLIF:
    return IntCubaLIF(name=name, inputs=(f"c{int(name[1:] or 0)}",), shape=(n,),
                      **{"du": 4095, "dv": 410, "vth": 100, **parameters})  # fmt: skip


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("dv", [0, 4095])
@pytest.mark.parametrize("du", [0, 4095])
def test_extreme_decays(du, dv, reset):
    rng = np.random.default_rng(0)
    graph = chain(lif(9, du=du, dv=dv, reset=reset, bias_mant=-7), weights=[2 * rng.integers(-128, 128, (9, 20))])
    assert_same_bits(graph, random_spikes(rng, graph, 25, 4))


@pytest.mark.parametrize("way", WAYS)
def test_u_wraps_and_v_saturates(way):
    weight = np.array([[254] * 60, [-256] * 60])
    graph = chain(lif(2, du=0, dv=0, vth=(1 << 17) - 1, reset="none"), weights=[weight], exps=[4])
    x = np.ones((30, 2, 60), np.uint8)
    assert_same_bits(graph, x, path=way)
    v = EmulatorProgram(graph, "loihi2").run(x, ("v",)).v["n"]
    assert v.max() == V_MAX
    assert v.min() == -V_MAX
    assert weight.sum(axis=1).max() << 4 << ACT_SHIFT > U_LIMIT, "u never wrapped: the test is too tame"


@pytest.mark.parametrize("exp", [0, 2, -1, -3])
def test_more_events_in_a_step_than_an_int16_sum_holds(exp):
    n = 3 * kernels.MOST_EVENTS + 5
    weight = np.where(np.arange(4)[:, None] % 2, 254, -256) * np.ones((1, n), np.int64)
    weight[2:] = 2 * np.random.default_rng(0).integers(-128, 128, (2, n))
    graph = chain(IntLI(name="n", inputs=("c0",), shape=(4,), dv=100), weights=[weight], exps=[exp])
    assert_same_bits(graph, np.ones((3, 2, n), np.uint8), path="events")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["spike", "signed", "graded"])
def test_delays_also_beyond_the_end(kind, way):
    rng = np.random.default_rng(1)
    weights = [2 * rng.integers(-100, 128, shape) for shape in ((30, 12), (11, 30), (7, 11))]
    nodes = [lif(30, "n0", vth=50), lif(11, "n1", vth=60, reset="subtract"), lif(7, "n2", vth=60)]
    graph = chain(*nodes, weights=weights, delays=[3, 1, 9], kind=kind, bound=1 if kind == "spike" else 5)
    for steps in (2, 9, 40):
        assert_same_bits(graph, random_spikes(rng, graph, steps, 3), path=way)


@pytest.mark.parametrize(("kind", "neuron"), [("spike", "cuba"), ("signed", "cuba"), ("spike", "graded")])
@pytest.mark.parametrize("size", [1, 1 << 14, 1 << 17])
def test_any_cut_of_samples_and_steps(monkeypatch, size, kind, neuron):
    monkeypatch.setattr(emulator, "BUFFER_BYTES", size)
    rng = np.random.default_rng(2)
    bound = 1 if kind == "spike" else 3
    graph = random_graph(rng, depth=3, neuron=neuron, recurrent=2, feedback=5, skip=True, kind=kind, bound=bound)
    graph = graph.with_nodes(*(type(c)(**{**vars(c), "delay": 7}) for c in graph.connections if c.name == "skip"))
    x = random_spikes(rng, graph, 31, 13)
    for way in (None, "float32"):
        assert_same_bits(graph, x, threads=3, path=way)


def test_buffers_stay_within_their_bound():
    rng = np.random.default_rng(0)
    graph = random_graph(rng, depth=3, width=40, recurrent=3)
    program = EmulatorProgram(graph, "loihi2", threads=4)
    for steps, batch in ((1, 1), (16, 10_000), (100, 64), (10**6, 1), (10**6, 1000)):
        samples, window = program._portion(steps, batch)
        assert 1 <= samples <= batch
        assert 1 <= window <= steps
        worker_rows = samples * (window + program.plan.history)
        assert worker_rows * (program.plan.columns + 12 * 64 + 8 * 64) <= emulator.BUFFER_BYTES


def test_busy_layers_take_a_matrix_product_and_quiet_ones_do_not(monkeypatch):
    rows = []
    for name, path in sums.PRODUCTS.items():
        monkeypatch.setitem(sums.PRODUCTS, name, lambda s, q, path=path: rows.append(len(s)) or path(s, q))
    rng = np.random.default_rng(0)
    graph = chain(lif(8), weights=[2 * rng.integers(-128, 128, (8, 100))])
    program = EmulatorProgram(graph, "loihi2", threads=1)
    program.run(random_spikes(rng, graph, 10, 4, rate=0.02))
    assert rows == []
    program.run(random_spikes(rng, graph, 10, 4, rate=0.98))
    assert sum(rows) == 40


@pytest.mark.parametrize("name", sums.PRODUCTS)
def test_products_are_exact_up_to_their_bound(name):
    bound, n = {"int8": (127, 1000), "float32": (1, 2**17 - 1), "float64": (2**31 // 128 - 1, 1)}[name]
    s = torch.full((3, n), bound, dtype=torch.int32)
    q = torch.full((n, 2), -128, dtype=torch.int8)
    q[:, 1] = 127
    q[-1, 1] = 126
    assert sums.exact(name, bound, 128 * bound * n)
    want = s.numpy().astype(np.int64) @ q.numpy().astype(np.int64)
    np.testing.assert_array_equal(sums.PRODUCTS[name](s, q).numpy(), want)


def test_float32_is_refused_where_it_would_round():
    assert not sums.exact("float32", 1, 2**24)
    assert not sums.exact("float32", 257, 1000)
    assert not sums.exact("int8", 128, 1000)
    assert sums.fastest_product(30000, 2**24) == "float64"


def test_without_native_int8_products_are_made_in_float32(monkeypatch):
    monkeypatch.setattr(sums.int8_product, "is_exact", lambda: False)
    graph = chain(lif(3), weights=[np.full((3, 5), 2)])
    (((block,),)) = (plan(graph).components[0],)
    assert [wire.product for wire in block.wires] == ["float32"]


def test_components_are_loops_in_topological_order():
    graph = random_graph(np.random.default_rng(0), depth=4, feedback=0, recurrent=1, skip=True)
    assert [[p.name for p in group] for group in components(graph)] == [["pop1"], ["pop2"], ["pop3"], ["pop4"]]
    graph = random_graph(np.random.default_rng(0), depth=4, feedback=3, readout=True)
    assert [[p.name for p in group] for group in components(graph)] == [["pop1", "pop2", "pop3"], ["pop4"]]


@register_jitable
def adaptive_step(a, v, w, k, retention, vth, jump):
    """A neuron unlike the built-in ones: three state variables, v in the first."""
    v = clip(decay(v, retention) + a)
    s = v > vth + w
    return s, v - s * v, decay(w, retention) + s * jump, k + s


@dataclass(frozen=True, eq=False, kw_only=True)
class AdaptiveForTest(Population):
    retention: np.ndarray
    vth: np.ndarray
    jump: np.ndarray

    stage: ClassVar[str | None] = "integer"
    STATE: ClassVar[tuple[str, ...]] = ("v", "w", "k")
    ARRAYS: ClassVar[dict[str, type]] = dict.fromkeys(("retention", "vth", "jump"), np.int64)
    step = staticmethod(adaptive_step)

    def constants(self):
        return (self.retention, self.vth, self.jump)


def adaptive(n: int, **parameters) -> AdaptiveForTest:
    return AdaptiveForTest(name="n", inputs=("c0",), shape=(n,), **{"retention": 3900, "jump": 40, **parameters})


@pytest.mark.parametrize("vth", [200, np.arange(50, 250)])
def test_any_neuron_runs_from_its_step_alone(vth):
    rng = np.random.default_rng(0)
    graph = chain(adaptive(200, vth=np.asarray(vth)), weights=[2 * rng.integers(-90, 110, (200, 20))])
    x = random_spikes(rng, graph, 40, 3)
    assert_same_bits(graph, x)
    rate = EmulatorProgram(graph, "loihi2").run(x).output.mean()
    assert 0.02 < rate < 0.9


def test_numbers_beyond_int32_are_refused():
    with pytest.raises(ResourceError, match=r"n: constant 1 of its step = 4294967296..4294967296 \(allowed"):
        EmulatorProgram(chain(adaptive(2, vth=2**32), weights=[np.zeros((2, 3))]), "loihi2")
    graph = chain(adaptive(2, vth=2), weights=[np.full((2, 3), 254)], exps=[7], kind="graded", bound=2**30)
    with pytest.raises(ResourceError, match=r"n: synaptic sums \(used \d+, limit 2147483647\)"):
        EmulatorProgram(graph, "loihi2")


def test_input_of_any_legal_dtype_and_read_only():
    rng = np.random.default_rng(0)
    graph = random_graph(rng)
    x = random_spikes(rng, graph, 6, 5)
    program = sm.compile(graph, "loihi2")
    want = program.run(x).output
    x.setflags(write=False)
    for form in (x, x.astype(bool), x.astype(np.int64), torch.tensor(x)):
        np.testing.assert_array_equal(program.run(form).output, want)


def test_nothing_is_recorded_that_was_not_asked_for():
    rng = np.random.default_rng(0)
    graph = random_graph(rng, depth=2)
    program = sm.compile(graph, "loihi2")
    result = program.run(random_spikes(rng, graph, 5, 2))
    assert (result.spikes, result.v) == ({}, {})
    assert program.run(random_spikes(rng, graph, 5, 2), ("v",)).spikes == {}


def test_runs_leave_no_thread_behind_and_give_the_same_again():
    rng = np.random.default_rng(0)
    graph = random_graph(rng, depth=2, recurrent=1)
    x = random_spikes(rng, graph, 8, 40)
    program = sm.compile(graph, "loihi2", threads=4)
    before = threading.active_count()
    first, second = program.run(x, RECORD), program.run(x, RECORD)
    assert threading.active_count() == before
    for name in first.v:
        np.testing.assert_array_equal(first.v[name], second.v[name])


def test_lava_runs_after_the_emulator_in_one_process():
    pytest.importorskip("lava", reason="lava-nc is not installed")
    rng = np.random.default_rng(3)
    graph = random_graph(rng, depth=2, width=6)
    x = random_spikes(rng, graph, 6, 3, rate=0.9)
    for way in ("events", "int8", "float32"):
        sm.compile(graph, "loihi2", threads=2, sums=way).run(x)
    sm.verify(graph, ["lava", "loihi2"], x).check()


def test_the_target_and_its_description():
    assert "loihi2" in targets.names()
    found = targets.find("loihi2")
    assert found.limits.weight == (-256, 254)
    assert found.limits.vth == (0, 2**17 - 1)
    described = chip.load("loihi2")
    assert (described.cores, described.neurons_per_core) == (128, 8192)
    with pytest.raises(ResourceError, match="1 weights are not multiples of 2"):
        sm.compile(chain(lif(1), weights=[[[2, 3]]]), "loihi2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[chip", "bad: bad.toml cannot be read"),
        (
            'summary = ""\n[limits]\nwheight = 1\n[chip]\ncores = 1\nneurons_per_core = 1',
            r"unknown keys \(limits.wheight\)",
        ),
        ("[chip]\ncores = 1", r"lacks keys \(chip.neurons_per_core, summary\)"),
    ],
)  # fmt: skip
def test_bad_descriptions_say_what_is_wrong(tmp_path, text, message):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(TargetError, match=message):
        chip.load("bad", tmp_path)


def test_wrong_options_say_what_is_allowed():
    graph = random_graph(np.random.default_rng(0))
    with pytest.raises(TargetError, match="loihi2: threads = 0"):
        sm.compile(graph, "loihi2", threads=0)
    with pytest.raises(TargetError, match=r"sums: 'int4' is unknown \(allowed: events, int8, float32, float64\)"):
        sm.compile(graph, "loihi2", sums="int4")


@pytest.mark.parametrize("path", sums.PATHS)
def test_signed_spikes_are_exact_on_every_path(path):
    """Of a floor-shifted sum, both signs together are shifted, not each."""
    rng = np.random.default_rng(4)
    graph = random_graph(rng, depth=3, width=150, neuron="ternary", recurrent=1, skip=True, weight_exp=(-6, 1))
    spikes = random_spikes(rng, graph, 20, 5)
    want = sm.compile(graph, "reference").run(spikes, record=("spikes", "v"))
    got = sm.compile(graph, "loihi2", sums=path).run(spikes, record=("spikes", "v"))
    assert want.output.min() == -1
    for node, values in want.spikes.items():
        assert got.spikes[node].dtype == np.int8
        np.testing.assert_array_equal(got.spikes[node], values)
        np.testing.assert_array_equal(got.v[node], want.v[node])
