"""The intermediate graph."""

from seamount.ir.graph import Graph
from seamount.ir.node import NODE_TYPES, Connection, Input, IntLinear, Linear, Node, Output, Population

__all__ = ["NODE_TYPES", "Connection", "Graph", "Input", "IntLinear", "Linear", "Node", "Output", "Population"]
