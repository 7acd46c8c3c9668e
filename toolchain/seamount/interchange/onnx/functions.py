"""ONNX functions for the nodes of a graph: populations by tracing their own `step`, connections by `synapses`."""

from __future__ import annotations

from collections import Counter

import numpy as np
from onnx import FunctionProto, helper, parser

from seamount.errors import UnsupportedNodeError
from seamount.interchange.onnx.layout import DELAY_LINE, DOMAIN, OPSET, attribute_codecs, function_name
from seamount.interchange.onnx.symbol import ANY, BOOL, DOUBLE, INT64, Body, Symbol, UntraceableError
from seamount.interchange.onnx.synapses import synapses
from seamount.ir import Connection, Conv, Graph, Input, IntConv, IntLinear, Linear, Node, Output, Population


class Library:
    """The functions of one model; nodes whose bodies are the same share one.

    Attributes:
        functions: by name.
    """

    def __init__(self) -> None:
        self.functions: dict[str, FunctionProto] = {}
        self._names: dict[bytes, str] = {}
        self._variants: Counter[type[Node]] = Counter()

    def function_for(self, graph: Graph, node: Node) -> str:
        """Name of the function that computes a node; written on first use.

        Raises:
            UnsupportedNodeError: the node has no ONNX form.
        """
        function = _write(graph, node)
        body = function.SerializeToString(deterministic=True)
        if body not in self._names:
            self._variants[type(node)] += 1
            self._names[body] = function.name = function_name(type(node), self._variants[type(node)])
            self.functions[function.name] = function
        return self._names[body]

    def delay_line(self) -> str:
        """Name of the function that moves a delay line on by one step."""
        self.functions.setdefault(DELAY_LINE, parser.parse_function(_DELAY_LINE))
        return DELAY_LINE


_DELAY_LINE = f"""
<domain: "{DOMAIN}", opset_import: ["" : {OPSET}]>
{DELAY_LINE} (line, newest) => (next)
{{
    first = Constant <value_ints = [0]> ()
    second = Constant <value_ints = [1]> ()
    end = Constant <value_ints = [9223372036854775807]> ()
    entry = Unsqueeze (newest, first)
    grown = Concat <axis = 0> (line, entry)
    next = Slice (grown, second, end, first)
}}
"""
# Grown first, cut afterwards: onnxruntime 1.20 breaks models in which a Gather and a Slice read the same tensor.


def _write(graph: Graph, node: Node) -> FunctionProto:
    if isinstance(node, Population):
        return _population(graph, node)
    if type(node) in (Linear, IntLinear, Conv, IntConv):  # a subclass would mean something else
        assert isinstance(node, (Linear, Conv))
        return _function(node, synapses(graph, node, number_type(graph)), ["a"])
    if isinstance(node, (Input, Output)):
        body = Body(["x"])
        body.name_outputs([Symbol(body, "x", ANY)], ["y"], [ANY])
        return _function(node, body, ["y"])
    raise UnsupportedNodeError(f"{node.name}: {type(node).__name__} cannot be written to ONNX.")


def _function(node: Node, body: Body, outputs: list[str]) -> FunctionProto:
    return helper.make_function(
        DOMAIN, type(node).__name__, body.inputs, outputs, body.nodes, [helper.make_opsetid("", OPSET)],
        attributes=list(attribute_codecs(type(node))),
    )  # fmt: skip


def spike_type(node: Input | Population) -> int:
    """Type of the spikes that a node sends."""
    return helper.np_dtype_to_tensor_dtype(np.dtype(node.dtype))


def number_type(graph: Graph) -> int:
    """Type of state and parameters: int64, or float64 in a float graph."""
    return INT64 if graph.stage == "integer" else DOUBLE


def _population(graph: Graph, node: Population) -> FunctionProto:
    """Call the population's `constants` and `step` with symbols in the place of arrays."""
    number = number_type(graph)
    summands = [f"a.{i}" for i in range(len(node.inputs))]
    state = [f"{name}.last" for name in node.STATE]
    body = Body([*summands, *state, *node.ARRAYS])
    likeness = object.__new__(type(node))  # the same node, with symbols for arrays; __init__ would refuse them
    for name, value in vars(node).items():
        object.__setattr__(likeness, name, value)
    for name, dtype in node.ARRAYS.items():
        if getattr(node, name) is not None:
            object.__setattr__(likeness, name, Symbol(body, name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype))))
    try:
        a, *more = [Symbol(body, name, number) for name in summands]
        for other in more:
            a = a + other
        results = type(node).step(a, *[Symbol(body, name, number) for name in state], *likeness.constants())
        out, *new_state = [r if isinstance(r, Symbol) else body.constant(r, number) for r in results]
        for name, symbol in zip(node.STATE, new_state, strict=True):
            if symbol.dtype not in (number, BOOL):
                raise UntraceableError(f"makes {name} a float in an integer graph")
    except (TypeError, ValueError, AttributeError) as error:
        raise UnsupportedNodeError(
            f"{node.name}: {type(node).__name__} has no ONNX form: its step or constants {error}. "
            "Hint: use only + - * << >> < <= >, on scalars and array fields."
        ) from error
    outputs = ["out", *[f"{name}.next" for name in node.STATE]]
    body.name_outputs(
        [out, *new_state], outputs, [spike_type(node) if node.spiking else number] + [number] * len(new_state)
    )
    return _function(node, body, outputs)


def is_delayed(node: Node) -> bool:
    """Whether a node reads a delay line."""
    return isinstance(node, Connection) and node.delay > 0
