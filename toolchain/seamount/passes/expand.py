"""The same network without shapes and convolutions, for targets that have neither."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from seamount.errors import ResourceError, raise_all
from seamount.ir import Connection, Conv, Graph, Input, IntConnection, IntLinear, Linear, Node, Population


def expand(graph: Graph, limit: int) -> Graph:
    """Return a graph of the same names and numbers in which every shape is a vector and every connection a matrix.

    Args:
        graph: float or integer.
        limit: largest number of entries, zeros included, of the matrix of a convolution.

    Raises:
        ResourceError: naming each convolution whose matrix is larger.

    Example:
        >>> import numpy as np
        >>> from seamount.testing import random_graph
        >>> graph = expand(random_graph(np.random.default_rng(0), conv=1), limit=1 << 20)
        >>> type(graph["conv1"]).__name__, len(graph["pop1"].shape)
        ('IntLinear', 1)
    """
    if all(len(n.shape) == 1 for n in (graph.input, *graph.populations)) and not graph.of_type(Conv):
        return graph
    sizes = {c.name: prod(graph.source(c).shape) * graph.target(c).size for c in graph.of_type(Conv)}
    raise_all(
        ResourceError,
        [
            f"{name}: its convolution as a matrix (used {entries} entries, limit {limit}). "
            "Hint: a smaller network, or a target that has convolutions."
            for name, entries in sizes.items()
            if entries > limit
        ],
    )
    return Graph([_expanded(graph, node) for node in graph], graph.name)


def _expanded(graph: Graph, node: Node) -> Node:
    if isinstance(node, Input):
        return replace(node, shape=(prod(node.shape),))
    if isinstance(node, Population):
        values = {name: getattr(node, name) for name in node.ARRAYS}
        vectors = {
            name: np.broadcast_to(value, node.shape).ravel()
            for name, value in values.items()
            if value is not None and value.ndim
        }
        return replace(node, shape=(node.size,), **vectors)
    if isinstance(node, Connection) and not isinstance(node, Linear):
        common = {"name": node.name, "inputs": node.inputs, "delay": node.delay}
        weight = node.matrix(graph.source(node).shape)
        if isinstance(node, IntConnection):
            return IntLinear(**common, weight=weight, weight_exp=node.weight_exp)
        return Linear(**common, weight=weight)
    return node
