"""From an ONNX model back to a graph.

What a node means comes from its type's name, its attributes and its initializers. The bodies of the functions in a
file are never looked at, let alone run: a file can claim that `IntCubaLIF` does anything, and still loads as what this
package calls IntCubaLIF. Nor is anything allocated by what a file merely claims: an initializer is read once its raw
data is as long as its dims say, and external data is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

import seamount.neurons  # noqa: F401  (neurons join NODE_TYPES by being defined)
from seamount.errors import FileFormatError, SeamountError
from seamount.interchange.onnx.layout import (
    DELAY_LINE,
    DOMAIN,
    MAX_NODES,
    VERSION,
    attribute_codecs,
    state_names,
    type_name,
)
from seamount.ir import NODE_TYPES, Connection, Graph, Input, Node, Population

PLUMBING = frozenset({"Concat", "Constant", "ConstantOfShape", "Identity", "Scan", "Shape"})
"""Standard operators that the Scan form has around the nodes."""
NUMBERS = {
    np.int64: (TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64),
    np.float64: (TensorProto.DOUBLE,),
}
"""Element types from which an array field of a dtype may be read."""


def from_model(model: ModelProto, source: str = "model") -> Graph:
    """Return the graph that a model written by `to_model` holds.

    Args:
        model: in either form.
        source: what errors call it.

    Raises:
        FileFormatError: naming what is wrong, by node.
    """
    try:
        return _Reader(model).graph()
    except FileFormatError as error:
        raise FileFormatError(f"{source}: {error}") from None
    except SeamountError as error:
        raise FileFormatError(f"{source}: does not hold a sound graph: {error}") from error


def graphs(model: ModelProto) -> list[GraphProto]:
    """The main graph and, in the Scan form, the one that is repeated."""
    scans = [n for n in model.graph.node if n.op_type == "Scan" and not n.domain]
    return [model.graph, *(a.g for n in scans for a in n.attribute if a.name == "body")]


class _Reader:
    def __init__(self, model: ModelProto) -> None:
        parts = graphs(model)
        if any(not isinstance(text, str) for text in _texts(model, parts)):  # the protobuf reader leaves it as bytes
            raise FileFormatError("holds a name that is not UTF-8 text.")
        versions = {o.domain: o.version for o in model.opset_import}
        if DOMAIN not in versions:
            found = ", ".join(sorted(d or "ai.onnx" for d in versions)) or "none"
            raise FileFormatError(f"is an ONNX model without operators of {DOMAIN} (found: {found}).")
        if versions[DOMAIN] != VERSION:
            raise FileFormatError(f"has version {versions[DOMAIN]} of {DOMAIN} (allowed {VERSION}).")
        if len(parts) > 2:
            raise FileFormatError(f"has {len(parts) - 1} Scan nodes (allowed 1).")
        self.name = model.graph.name
        self.calls = [n for part in parts for n in part.node if not self._is_plumbing(n)]
        lines = [n for n in self.calls if n.op_type == DELAY_LINE]
        self.calls = [n for n in self.calls if n.op_type != DELAY_LINE]
        if len(self.calls) > MAX_NODES:
            raise FileFormatError(f"nodes (used {len(self.calls)}, limit {MAX_NODES}).")
        self.arrays = {t.name: t for part in parts for t in part.initializer}
        for tensor in self.arrays.values():
            _check_tensor(tensor)
        self.writers = {n.output[0]: n.name for n in self.calls if n.output}
        # A delayed connection reads a line; who feeds the line stands in the node that moves it on.
        self.writers |= {n.input[0]: self.writers[n.input[1]] for n in lines if self._feeds(n)}
        self.lines = {n.input[0] for n in lines}

    def graph(self) -> Graph:
        nodes = [self._node(call) for call in self.calls]
        if not nodes:
            raise FileFormatError("holds no nodes.")
        return Graph(nodes, self.name)

    def _is_plumbing(self, node: NodeProto) -> bool:
        if node.domain == DOMAIN:
            return False
        if node.domain or node.op_type not in PLUMBING:
            where = f"{node.domain}." if node.domain else ""
            raise FileFormatError(
                f"{node.name or node.op_type}: is a {where}{node.op_type}, which is no node of a spiking graph."
            )
        return True

    def _feeds(self, line: NodeProto) -> bool:
        if len(line.input) != 2:
            raise FileFormatError(f"{line.name}: {DELAY_LINE} has {len(line.input)} inputs (allowed 2).")
        if line.input[1] not in self.writers:
            raise FileFormatError(f"{line.name}: reads {line.input[1]!r}, which no node writes.")
        return True

    def _node(self, call: NodeProto) -> Node:
        kind = self._kind(call)
        fixed = len(state_names(kind)) + len(kind.ARRAYS)
        read = len(call.input) - fixed
        if read < 1 or (read > 1 and not issubclass(kind, Population)):
            least = f"{'at least ' * issubclass(kind, Population)}{1 + fixed}"
            raise FileFormatError(
                f"{call.name}: has {len(call.input)} inputs (allowed {least}). "
                f"Hint: they are what it reads, its state and {_list(kind)}."
            )
        inputs = [] if kind is Input else [self._writer(call, tensor) for tensor in call.input[:read]]
        arrays = dict(zip(kind.ARRAYS, call.input[read + len(state_names(kind)) :], strict=True))
        fields: dict[str, Any] = {name: self._array(call, kind, name, tensor) for name, tensor in arrays.items()}
        fields |= _attributes(call, kind)
        if issubclass(kind, Connection) and (fields["delay"] > 0) != (call.input[0] in self.lines):
            raise FileFormatError(
                f"{call.name}: delay {fields['delay']} does not fit what it reads, {call.input[0]!r}."
            )
        try:
            return kind(name=call.name, inputs=tuple(inputs), **{k: v for k, v in fields.items() if v is not None})
        except (TypeError, ValueError, OverflowError) as error:
            raise FileFormatError(f"{call.name}: cannot be made: {error}") from error

    def _kind(self, call: NodeProto) -> type[Node]:
        kind = NODE_TYPES.get(type_name(call.op_type))
        if kind is None or kind in (Node, Connection, Population):
            raise FileFormatError(
                f"{call.name}: {call.op_type} is no known type of node. "
                "Hint: import the module that defines it before loading."
            )
        if not call.name:
            raise FileFormatError(f"a node of type {call.op_type} has no name.")
        return kind

    def _writer(self, call: NodeProto, tensor: str) -> str:
        if tensor not in self.writers:
            raise FileFormatError(f"{call.name}: reads {tensor!r}, which no node writes.")
        return self.writers[tensor]

    def _array(self, call: NodeProto, kind: type[Node], name: str, tensor: str) -> np.ndarray | None:
        if not tensor:
            if _required(kind, name):
                raise FileFormatError(f"{call.name}: parameter {name} is missing.")
            return None
        if tensor not in self.arrays:
            raise FileFormatError(f"{call.name}: parameter {name} = {tensor!r} is not an initializer of the file.")
        proto = self.arrays[tensor]
        allowed = NUMBERS[kind.ARRAYS[name]]
        if proto.data_type not in allowed:
            names = ", ".join(TensorProto.DataType.Name(t) for t in allowed)
            raise FileFormatError(f"{call.name}: {name} has element type {_type(proto.data_type)} (allowed: {names}).")
        return numpy_helper.to_array(proto)


def _attributes(call: NodeProto, kind: type[Node]) -> dict[str, Any]:
    given: dict[str, AttributeProto] = {a.name: a for a in call.attribute}
    codecs = attribute_codecs(kind)
    unknown = sorted(set(given) - set(codecs))
    if unknown:
        raise FileFormatError(f"{call.name}: has no parameter {', '.join(unknown)}.")
    fields = {}
    for name, codec in codecs.items():
        if name not in given:
            raise FileFormatError(f"{call.name}: parameter {name} is missing.")
        if given[name].type != codec.kind or given[name].ref_attr_name:
            raise FileFormatError(f"{call.name}: parameter {name} is not of type {_attribute_type(codec.kind)}.")
        try:
            fields[name] = codec.decode(given[name])
        except UnicodeDecodeError:
            raise FileFormatError(f"{call.name}: parameter {name} is not text.") from None
    return fields


def _texts(model: ModelProto, parts: list[GraphProto]) -> Iterator[str | bytes]:
    """Every name that is read from a model."""
    yield from (o.domain for o in model.opset_import)
    for part in parts:
        yield part.name
        yield from (t.name for t in part.initializer)
        for node in part.node:
            yield from (node.domain, node.op_type, node.name, *node.input, *node.output)
            yield from (a.name for a in node.attribute)


def _check_tensor(tensor: TensorProto) -> None:
    """Refuse an initializer whose raw data is not exactly what its dims and type say, before it is read."""
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise FileFormatError(f"{tensor.name}: refers to data outside the file, which is not read.")
    if any(d < 1 for d in tensor.dims):
        raise FileFormatError(f"{tensor.name}: has shape {list(tensor.dims)} (every dimension must be positive).")
    known = {t for types in NUMBERS.values() for t in types}
    if tensor.data_type not in known:
        raise FileFormatError(f"{tensor.name}: has element type {_type(tensor.data_type)}, which no parameter has.")
    need = math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    if len(tensor.raw_data) != need:
        raise FileFormatError(
            f"{tensor.name}: raw data of shape {list(tensor.dims)} (has {len(tensor.raw_data)} bytes, needs {need})."
        )


def _required(kind: type[Node], name: str) -> bool:
    """Whether a field must be given, that is, has no default None."""
    return kind.__dataclass_fields__[name].default is not None


def _list(kind: type[Node]) -> str:
    return ", ".join(kind.ARRAYS) or "no parameters"


def _type(number: int) -> str:
    names = (n for n, v in TensorProto.DataType.items() if v == number)
    return next(names, str(number))


def _attribute_type(number: int) -> str:
    return AttributeProto.AttributeType.Name(number)  # type: ignore[arg-type]
