"""From a graph to an ONNX model: one step, or a Scan of that step over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from seamount.errors import GraphError
from seamount.interchange.onnx.functions import Library, is_delayed, number_type, spike_type
from seamount.interchange.onnx.layout import DOMAIN, IR_VERSION, MAX_NODES, OPSET, VERSION, attribute_codecs
from seamount.ir import Connection, Graph, Input, Node, Output, Population


@dataclass(frozen=True)
class Tensor:
    """A tensor's name, element type and shape (`"T"` and `"B"` stand for steps and batch)."""

    name: str
    dtype: int
    shape: tuple[int | str, ...]

    def info(self, name: str | None = None, lead: tuple[str, ...] = ()) -> ValueInfoProto:
        """Its declaration, under another name or with more leading dimensions."""
        return helper.make_tensor_value_info(name or self.name, self.dtype, [*lead, *self.shape])


@dataclass
class Step:
    """One step of a graph as ONNX nodes.

    Attributes:
        now, last: what follows the names of this step's tensors, and of the state after the last step.
        input: what enters.
        state: what each step hands to the next.
        outputs: the network's output, then spikes and v of every population.
    """

    now: str
    last: str
    input: Tensor
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)
    state: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)


def to_model(graph: Graph, form: str = "scan") -> ModelProto:
    """Return a graph as an ONNX model; `form` as in `save`.

    Raises:
        GraphError: the names of nodes cannot be told apart as names of tensors; or an unknown form.
        UnsupportedNodeError: a node without an ONNX form.
    """
    if form not in ("scan", "step"):
        raise GraphError(f"{graph.name}: form {form!r} is unknown. Allowed: scan, step.")
    if len(graph.nodes) > MAX_NODES:
        raise GraphError(f"{graph.name}: nodes in an ONNX file (used {len(graph.nodes)}, limit {MAX_NODES}).")
    library = Library()
    now, last = ("[t]", "[t-1]") if form == "scan" else ("", ".last")
    step = _step(graph, library, now, last)
    main = _scan(graph, step) if form == "scan" else _plain(graph, step)
    try:
        release = version("seamount")
    except PackageNotFoundError:  # run from a source tree that was never installed
        release = ""
    model = helper.make_model(
        main, functions=list(library.functions.values()), ir_version=IR_VERSION, producer_name="seamount",
        producer_version=release, opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, VERSION)],
    )  # fmt: skip
    facts = {"stage": graph.stage, "form": form, "graph": graph.name}
    facts |= {"input.kind": graph.input.kind, "input.bound": str(graph.input.bound)}
    helper.set_model_props(model, {f"seamount.{key}": value for key, value in facts.items()})
    return model


def _step(graph: Graph, library: Library, now: str, last: str) -> Step:
    leaves = {n.name: _leaving(graph, n) for n in graph}
    step = Step(now, last, replace(leaves[graph.input.name], name=graph.input.name))
    measured, lines = [], []
    for node in graph.order:
        state = []
        if is_delayed(node):
            lines.append(_line(node, leaves))
            reads = [lines[-1].name + last]
        else:
            reads = [leaves[name].name + now for name in node.inputs] or [step.input.name + now]
        if isinstance(node, Population):
            state = [Tensor(f"{node.name}.{name}", number_type(graph), ("B", *node.shape)) for name in node.STATE]
            measured += [leaves[node.name]] * node.spiking + [s for s in state if s.name == f"{node.name}.v"]
        if isinstance(node, Output):
            step.outputs.append(leaves[node.name])
        given = {name: array for name in node.ARRAYS if (array := getattr(node, name)) is not None}
        step.state += state
        step.initializers += [_initializer(node, name, array) for name, array in given.items()]
        parameters = [f"{node.name}.{name}" if name in given else "" for name in node.ARRAYS]
        step.nodes.append(
            helper.make_node(
                library.function_for(graph, node),
                [*reads, *(s.name + last for s in state), *parameters],
                [leaves[node.name].name + now, *(s.name + now for s in state)],
                name=node.name, domain=DOMAIN, **{name: getattr(node, name) for name in attribute_codecs(type(node))},
            )
        )  # fmt: skip
    for line, node in zip(lines, filter(is_delayed, graph.order), strict=True):
        # After all nodes: a line takes in what its source sent in this very step.
        reads = [line.name + last, leaves[node.inputs[0]].name + now]
        step.nodes.append(
            helper.make_node(library.delay_line(), reads, [line.name + now], name=line.name, domain=DOMAIN)
        )
    step.state += lines
    step.outputs += measured
    return step


def _line(connection: Node, leaves: dict[str, Tensor]) -> Tensor:
    """What the source of a delayed connection sent in the last `delay` steps, oldest first."""
    assert isinstance(connection, Connection)
    source = leaves[connection.inputs[0]]
    return Tensor(f"{connection.name}.line", source.dtype, (connection.delay, *source.shape))


def _leaving(graph: Graph, node: Node) -> Tensor:
    """What a node sends on: an Input and a spiking population spikes, a readout its v, a connection its sum."""
    number = number_type(graph)
    if isinstance(node, Output):
        return replace(_leaving(graph, graph.output), name=node.name)
    if isinstance(node, Input):
        return Tensor(f"{node.name}.spikes", spike_type(node), ("B", *node.shape))
    if isinstance(node, Connection):
        return Tensor(f"{node.name}.a", number, ("B", *graph.target(node).shape))
    assert isinstance(node, Population)
    name, dtype = ("spikes", spike_type(node)) if node.spiking else ("out", number)
    return Tensor(f"{node.name}.{name}", dtype, ("B", *node.shape))


def _initializer(node: Node, name: str, array: np.ndarray) -> TensorProto:
    """A parameter; weights, which are cast before use, in the narrowest integers that hold them."""
    if isinstance(node, Connection) and array.dtype == np.int64:
        low, high = int(array.min(initial=0)), int(array.max(initial=0))
        fits = [t for t in (np.int8, np.int16, np.int32) if np.iinfo(t).min <= low and high <= np.iinfo(t).max]
        array = array.astype(fits[0] if fits else np.int64)
    return numpy_helper.from_array(array, f"{node.name}.{name}")


def _plain(graph: Graph, step: Step):
    """The step itself, with the state after the last step as inputs and the new state as outputs."""
    outputs = {t.name: t for t in (*step.outputs, *step.state)}.values()  # v is in both
    main = helper.make_graph(
        step.nodes, graph.name,
        [step.input.info(), *(s.info(s.name + step.last) for s in step.state)], [t.info() for t in outputs],
        step.initializers,
    )  # fmt: skip
    _check_names(graph, _names(main))
    return main


def _scan(graph: Graph, step: Step):
    """The step as the body of a Scan that starts from zeros."""
    nodes = list(step.nodes)
    # A Scan hands out state and scanned outputs under different names.
    scanned = [f"{t.name}.out{step.now}" for t in step.outputs]
    nodes += [
        helper.make_node("Identity", [t.name + step.now], [n]) for t, n in zip(step.outputs, scanned, strict=True)
    ]
    body = helper.make_graph(
        nodes, f"{graph.name} step",
        [*(s.info(s.name + step.last) for s in step.state), step.input.info(step.input.name + step.now)],
        [*(s.info(s.name + step.now) for s in step.state),
         *(t.info(n) for t, n in zip(step.outputs, scanned, strict=True))],
        step.initializers,
    )  # fmt: skip
    start, zeros = [], []
    for s in step.state:
        at = s.shape.index("B")
        zero = numpy_helper.from_array(np.zeros(1, helper.tensor_dtype_to_np_dtype(s.dtype)))
        parts = [(s.shape[:at], f"{s.name}.before"), (s.shape[at + 1 :], f"{s.name}.after")]
        start += [helper.make_node("Constant", [], [name], value_ints=list(dims)) for dims, name in parts if dims]
        names = [f"{s.name}.before"] * bool(at) + ["batch", f"{s.name}.after"]
        start.append(helper.make_node("Concat", names, [f"{s.name}.shape"], axis=0))
        start.append(helper.make_node("ConstantOfShape", [f"{s.name}.shape"], [f"{s.name}.zero"], value=zero))
        zeros.append(f"{s.name}.zero")
    finals = [f"{s.name}.final" for s in step.state]
    main = helper.make_graph(
        [
            helper.make_node("Shape", [step.input.name], ["batch"], start=1, end=2),
            *start,
            helper.make_node(
                "Scan", [*zeros, step.input.name], [*finals, *(t.name for t in step.outputs)], name="time",
                body=body, num_scan_inputs=1,
            ),
        ],
        graph.name, [step.input.info(lead=("T",))], [t.info(lead=("T",)) for t in step.outputs],
    )  # fmt: skip
    _check_names(graph, [*_names(main), *_names(body)])
    return main


def _names(graph) -> list[str]:
    """Every name that a graph gives to a tensor."""
    return [t.name for t in (*graph.input, *graph.initializer)] + [o for n in graph.node for o in n.output]


def _check_names(graph: Graph, names: Iterable[str]) -> None:
    """ONNX names tensors, not nodes: refuse names of nodes that would make two tensors one."""
    for name, count in Counter(names).items():
        if count > 1 or not name:
            raise GraphError(
                f"{graph.name}: {name!r} would be the name of {count} tensors of the ONNX file. "
                "Hint: rename the node that it begins with, to a name without dots."
            )
