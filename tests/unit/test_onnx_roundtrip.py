"""A graph written as ONNX is a well-formed model, reads well, and loads as the same graph."""

from dataclasses import dataclass

import numpy as np
import onnx
import pytest

import seamount as sm
from seamount.errors import FileFormatError, GraphError, UnsupportedNodeError
from seamount.interchange.onnx import from_model, to_model
from seamount.ir import NODE_TYPES, Graph, Input, IntLinear, Linear, Output, Population
from seamount.neurons import LI, LIF, IntCubaLIF, IntLI
from seamount.testing import random_graph

KINDS = {
    "plain": {},
    "readout": {"readout": True, "depth": 3},
    "recurrent": {"recurrent": 2, "feedback": 3, "depth": 3, "readout": True},
    "skip": {"skip": True, "per_neuron": True, "reset": "subtract"},
    "signed": {"kind": "signed", "bound": 7, "reset": "none"},
    "graded": {"kind": "graded", "bound": 5000, "neuron": "lif"},
    "float": {"stage": "float", "recurrent": 1, "readout": True, "reset": "subtract"},
}
forms = pytest.mark.parametrize("form", ["scan", "step"])


def assert_same(got: Graph, want: Graph) -> None:
    assert str(got) == str(want)
    assert got.name == want.name
    assert sorted(got.nodes) == sorted(want.nodes)
    for node in want:
        other = got[node.name]
        assert type(other) is type(node)
        assert other.inputs == node.inputs
        for name, value in node.parameters().items():
            mine = getattr(other, name)
            if name in node.ARRAYS and value is not None:
                assert (mine.dtype, mine.shape) == (value.dtype, value.shape)
                np.testing.assert_array_equal(mine, value)
            else:
                assert (type(mine), mine) == (type(value), value)


@forms
@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_survives_a_file(tmp_path, kind, form):
    graph = random_graph(np.random.default_rng(5), **KINDS[kind])
    path = tmp_path / "net.onnx"
    sm.save(graph, path, form=form)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    assert_same(sm.load(path), graph)
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


@forms
def test_every_field_survives(form):
    graph = Graph(
        [
            # Written out of order, the input not first: the text of a graph shows its order.
            IntLinear(name="rec", inputs=["lif"], weight=[[1, -(2**40)], [3, 100_000]], weight_exp=-3, delay=5),
            Output(name="out", inputs=["ro"]),
            Input(name="in", shape=(3,), kind="graded", bound=9),
            IntLinear(name="ro_fc", inputs=["lif"], weight=[[200, -1]]),
            IntLI(name="ro", inputs=["ro_fc"], shape=(1,), du=[7], dv=3, bias_mant=-5, bias_exp=2, scale=[0.1]),
            IntLinear(name="fc", inputs=["in"], weight=np.arange(6).reshape(2, 3), weight_exp=2),
            IntCubaLIF(name="lif", inputs=["fc", "rec"], shape=(2,), du=[1, 2], dv=[3, 4], vth=5, bias_mant=[6, -7],
                       bias_exp=3, reset="subtract", reset_by=[8, 9], scale=1e-3),
        ],
        name="ünïcode",
    )  # fmt: skip
    assert_same(from_model(to_model(graph, form)), graph)


def test_float_neurons_keep_their_type():
    graph = Graph([
        Input(name="in", shape=(1,)),
        Linear(name="fc", inputs=["in"], weight=[[0.1]]),
        LIF(name="lif", inputs=["fc"], shape=(1,), beta=0.9, vth=1 / 3, reset="none"),
        Linear(name="fc2", inputs=["lif"], weight=[[1e-300]]),
        LI(name="li", inputs=["fc2"], shape=(1,), beta=[0.7], bias=-0.0),
        Output(name="out", inputs=["li"]),
    ])  # fmt: skip
    assert_same(from_model(to_model(graph)), graph)


def test_the_model_reads_well():
    graph = random_graph(np.random.default_rng(0), recurrent=2, readout=True)
    model = to_model(graph)
    (scan,) = [n for n in model.graph.node if n.op_type == "Scan"]
    body = scan.attribute[0].g if scan.attribute[0].name == "body" else scan.attribute[1].g
    calls = {n.name: n.op_type.partition("__")[0] for n in body.node if n.domain == "org.seamount"}
    assert calls == {**{n.name: type(n).__name__ for n in graph}, "rec1.line": "DelayLine"}
    assert {"fc1.weight", "rec1.weight", "pop1.vth", "pop1.du", "pop2.dv"} <= {t.name for t in body.initializer}
    assert (model.graph.name, model.producer_name) == ("random", "seamount")
    assert {p.key: p.value for p in model.metadata_props} == {
        "seamount.stage": "integer", "seamount.form": "scan", "seamount.graph": "random",
        "seamount.input.kind": "spike", "seamount.input.bound": "1",
    }  # fmt: skip
    shapes = {v.name: signature(v) for v in (*model.graph.input, *model.graph.output)}
    n1, n2 = graph["pop1"].size, graph["pop2"].size
    assert shapes == {
        "input": ("UINT8", "T", "B", *graph.input.shape),
        "output": ("INT64", "T", "B", n2),
        "pop1.spikes": ("UINT8", "T", "B", n1),
        "pop1.v": ("INT64", "T", "B", n1),
        "pop2.v": ("INT64", "T", "B", n2),
    }
    step = to_model(graph, "step").graph
    assert signature(step.input[-1]) == ("UINT8", 2, "B", n1)
    assert [i.name for i in step.input][1:] == [
        f"{n}.last" for n in ("pop1.u", "pop1.v", "pop2.u", "pop2.v", "rec1.line")
    ]
    assert {i.name.removesuffix(".last") for i in step.input[1:]} <= {o.name for o in step.output}


def signature(value: onnx.ValueInfoProto) -> tuple:
    tensor = value.type.tensor_type
    return (onnx.TensorProto.DataType.Name(tensor.elem_type), *(d.dim_param or d.dim_value for d in tensor.shape.dim))


@pytest.mark.parametrize(("largest", "element"), [(127, "INT8"), (128, "INT16"), (2**15, "INT32"), (2**31, "INT64")])
def test_weights_take_the_narrowest_integers(largest, element):
    graph = _one_connection([[largest]])
    weight = {t.name: t for t in to_model(graph, "step").graph.initializer}["fc.weight"]
    assert onnx.TensorProto.DataType.Name(weight.data_type) == element


@pytest.mark.parametrize(("largest", "element"), [(2**24 - 1, "FLOAT"), (2**24, "DOUBLE"), (2**53, "INT64")])
def test_products_take_the_narrowest_exact_type(largest, element):
    (function,) = [f for f in to_model(_one_connection([[largest]])).functions if f.name == "IntLinear"]
    casts = [n.attribute[0].i for n in function.node if n.op_type == "Cast"]
    assert casts[0] == getattr(onnx.TensorProto, element)


def _one_connection(weight) -> Graph:
    weight = np.array(weight)
    return Graph([
        Input(name="in", shape=(weight.shape[1],)),
        IntLinear(name="fc", inputs=["in"], weight=weight),
        IntCubaLIF(name="lif", inputs=["fc"], shape=(weight.shape[0],), du=4095, dv=100, vth=10),
        Output(name="out", inputs=["lif"]),
    ])  # fmt: skip


def test_nodes_of_the_same_form_share_a_function():
    graph = random_graph(np.random.default_rng(0), depth=2, weight_exp=(0, 0))
    same = graph.with_nodes(*(
        IntCubaLIF(**{**p.parameters(), "bias_exp": 0}, name=p.name, inputs=p.inputs) for p in graph.populations
    ))  # fmt: skip
    assert [f.name for f in to_model(same).functions] == ["Input", "IntLinear", "IntCubaLIF", "Output"]


def test_names_that_would_collide_as_tensors_are_refused():
    graph = _one_connection([[1]])
    nodes = [*(n for n in graph if n.name != "out"), Output(name="lif.v", inputs=["lif"])]
    with pytest.raises(GraphError, match=r"'lif\.v' would be the name of 2 tensors.*Hint: rename"):
        to_model(Graph(nodes))


def test_an_unknown_form_is_refused(tmp_path):
    with pytest.raises(GraphError, match=r"form 'loop' is unknown\. Allowed: scan, step"):
        sm.save(_one_connection([[1]]), tmp_path / "net.onnx", form="loop")


def test_a_model_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("seamount.interchange.onnx.MAX_BYTES", 1000)
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")
    with pytest.raises(FileFormatError, match=r"net\.onnx: parameters in an ONNX file \(used 20\d\d bytes, limit 1000"):
        sm.save(_one_connection(np.ones((20, 100))), path)
    assert path.read_bytes() == b"old"


def test_a_graph_of_too_many_nodes_is_refused(monkeypatch):
    monkeypatch.setattr("seamount.interchange.onnx.export.MAX_NODES", 3)
    with pytest.raises(GraphError, match=r"network: nodes in an ONNX file \(used 4, limit 3\)"):
        to_model(_one_connection([[1]]))


class TestNewNeurons:
    """A neuron that nobody has heard of needs no ONNX code."""

    @pytest.fixture(autouse=True)
    def _forget(self):
        before = set(NODE_TYPES)
        yield
        for name in set(NODE_TYPES) - before:
            del NODE_TYPES[name]

    def make(self, step, constants=lambda self: (self.gain,), annotation="int"):
        namespace = {"__annotations__": {"gain": "np.ndarray", "bits": annotation}, "gain": 3, "bits": 2}
        kind = type("Novel", (Population,), {**namespace, "__module__": __name__, "stage": "integer", "STATE": ("v",),
                    "ARRAYS": {"gain": np.int64}, "step": staticmethod(step), "constants": constants})  # fmt: skip
        return dataclass(frozen=True, eq=False, kw_only=True)(kind)

    def graph(self, kind):
        base = _one_connection([[5, -3], [-7, 2]])
        nodes = [n for n in base if n.name not in ("lif", "out")]
        return Graph([*nodes, kind(name="new", inputs=["fc"], shape=(2,)), Output(name="out", inputs=["new"])])

    def test_its_step_is_traced(self):
        def step(a, v, gain, bits):
            v = ((v * gain + 5 - a) >> bits) + (a << bits) - (1 - (a <= v)) * 2
            return 3 < v, v  # noqa: SIM300  (a constant on the left)

        kind = self.make(step, lambda self: (self.gain, self.bits))
        graph = self.graph(kind)
        spikes = np.random.default_rng(0).integers(0, 2, (40, 3, 2), dtype=np.uint8)
        (got, want) = (run(graph, spikes) for run in (_run_scan, _run_by_hand))
        np.testing.assert_array_equal(got, want)
        assert 0 < want.mean() < 1
        assert_same(from_model(to_model(graph)), graph)

    def test_shifts_may_differ_by_neuron(self):
        def step(a, v, gain):
            v = (a << gain) - (v >> gain)
            return v > 0, v

        graph = self.graph(self.make(step))
        spikes = np.random.default_rng(0).integers(0, 2, (40, 3, 2), dtype=np.uint8)
        np.testing.assert_array_equal(_run_scan(graph, spikes), _run_by_hand(graph, spikes))

    @pytest.mark.parametrize(
        ("step", "why"),
        [
            (lambda a, v, gain: (a, a if v > 0 else v), "branches on a value"),
            (lambda a, v, gain: (v == a, a), "compares with == or !="),
            (lambda a, v, gain: (v > a, a * 0.5), "makes v a float in an integer graph"),
            (lambda a, v, gain: (v > a, (a * 0.5) >> 2), "shifts a value that is not an integer"),
            (lambda a, v, gain: (v > a, np.abs(a)), "ufunc"),
            (lambda a, v, gain: (v > a, gain.max()), "no attribute 'max'"),
            (lambda a, v, gain: (v > a, a + np.ones(2)), "combines a value with a ndarray"),
            (lambda a, v, gain: (v > a, a + 2**63), "does not fit int64"),
            (lambda a, v, gain: (v > a, a, a), "argument"),
        ],
    )
    def test_what_cannot_be_traced_is_named(self, step, why):
        with pytest.raises(UnsupportedNodeError, match=f"new: Novel has no ONNX form: .*{why}.*Hint: use only"):
            to_model(self.graph(self.make(step)))

    def test_a_connection_of_another_kind_is_refused(self):
        class Sparse(IntLinear):
            pass

        graph = _one_connection([[1]])
        odd = graph.with_nodes(Sparse(name="fc", inputs=["in"], weight=[[1]]))
        with pytest.raises(UnsupportedNodeError, match="fc: Sparse cannot be written to ONNX"):
            to_model(odd)

    def test_a_field_that_cannot_be_written_is_named(self):
        kind = self.make(lambda a, v, gain: (v > a, a), annotation="complex")
        with pytest.raises(UnsupportedNodeError, match="Novel: field bits of type complex cannot be written"):
            to_model(self.graph(kind))


def _run_scan(graph, spikes):
    import onnxruntime

    session = onnxruntime.InferenceSession(to_model(graph).SerializeToString())
    return session.run(["out"], {"in": spikes})[0]


def _run_by_hand(graph, spikes):
    node, weight = graph["new"], graph["fc"].weight
    v, out = np.zeros((spikes.shape[1], 2), np.int64), []
    for s in spikes.astype(np.int64):
        s, v = node.step(s @ weight.T, v, *node.constants())
        out.append(s)
    return np.array(out)
