"""What the writer and the reader of ONNX files must agree on: the domain, and where each field of a node goes.

A node of the graph is one call of a function of the domain, with the node's name. The function's name is the type of
the node, with `__2`, `__3` ... where nodes of one type need different bodies. Its inputs are, in this order,

    what the node reads  (a population: one tensor per connection; a delayed connection: its line)
    the state after the last step  (populations: `STATE`)
    the array fields  (`ARRAYS`; left empty where the field is None)

and all other fields are attributes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from onnx import AttributeProto

from seamount.errors import UnsupportedNodeError
from seamount.ir import Node, Population

DOMAIN = "org.seamount"
VERSION = 1
OPSET = 18
IR_VERSION = 8
"""The oldest ONNX file version with functions, so that older runtimes read the files too."""
MAX_BYTES = (1 << 31) - 1
"""A protobuf message, and so an ONNX file without external data, ends at 2 GiB."""
MAX_NODES = 1024
"""Nodes of a graph in a file: some 500 layers; a hostile file is checked in less than a second."""
DELAY_LINE = "DelayLine"
"""The one function that is not a node of the graph: `(line, s) -> line` without its oldest entry, s appended."""
VARIANT = "__"


@dataclass(frozen=True)
class Codec:
    """How a field that is not an array becomes an attribute (`onnx.helper` encodes by Python type) and back."""

    kind: int
    decode: Callable[[AttributeProto], Any]


CODECS = {
    "int": Codec(AttributeProto.INT, lambda a: a.i),
    "str": Codec(AttributeProto.STRING, lambda a: a.s.decode()),
    "tuple[int, ...]": Codec(AttributeProto.INTS, lambda a: tuple(a.ints)),
}
"""By the annotation of the field."""


def attribute_codecs(kind: type[Node]) -> dict[str, Codec]:
    """Codec of each field of a node type that is written as an attribute.

    Raises:
        UnsupportedNodeError: a field of a type that has no codec.
    """
    found = {}
    for field in fields(kind):
        if field.name in ("name", "inputs") or field.name in kind.ARRAYS:
            continue
        annotation = field.type if isinstance(field.type, str) else inspect.formatannotation(field.type)
        if annotation not in CODECS:
            raise UnsupportedNodeError(
                f"{kind.__name__}: field {field.name} of type {annotation} cannot be written to ONNX "
                f"(allowed: arrays and {', '.join(CODECS)})."
            )
        found[field.name] = CODECS[annotation]
    return found


def state_names(kind: type[Node]) -> tuple[str, ...]:
    """Names of a node type's state; nothing but populations has any."""
    return kind.STATE if issubclass(kind, Population) else ()


def function_name(kind: type[Node], variant: int) -> str:
    """`"IntLinear"`, `"IntLinear__2"` ...; variants count from 1."""
    return kind.__name__ + (f"{VARIANT}{variant}" if variant > 1 else "")


def type_name(function: str) -> str:
    """The node type that a function's name names."""
    return re.sub(rf"{VARIANT}\d+$", "", function)
