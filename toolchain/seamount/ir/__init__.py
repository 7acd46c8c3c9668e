"""The intermediate graph."""

from seamount.ir.connection import Conv, IntConnection, IntConv, IntLinear, Linear
from seamount.ir.graph import Graph
from seamount.ir.node import NODE_TYPES, Connection, Input, Node, Output, Population

__all__ = [
    "NODE_TYPES",
    "Connection",
    "Conv",
    "Graph",
    "Input",
    "IntConnection",
    "IntConv",
    "IntLinear",
    "Linear",
    "Node",
    "Output",
    "Population",
]
