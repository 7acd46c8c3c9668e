"""What makes a graph well-formed: one list of named problems, empty for a sound graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seamount.errors import GraphError
from seamount.ir.node import Connection, Input, Node, Output, Population

if TYPE_CHECKING:
    from seamount.ir.graph import Graph


def problems(graph: Graph) -> list[str]:
    """Every structural problem of a graph, each starting with the node's name."""
    return _links(graph) or [*_counts(graph), *_stages(graph), *_shapes(graph), *_cycles(graph)]


def _links(graph: Graph) -> list[str]:
    found = []
    for node in graph:
        for name in node.inputs:
            if name not in graph.nodes:
                found.append(f"{node.name}: reads {name!r}, which is not in the graph.")
            elif not isinstance(graph.nodes[name], _reads(node)):
                allowed = " or ".join(k.__name__ for k in _reads(node))
                found.append(f"{node.name}: reads {name}, a {type(graph.nodes[name]).__name__} (allowed: {allowed}).")
        if len(set(node.inputs)) != len(node.inputs):
            found.append(f"{node.name}: reads the same node twice.")
    return found


def _reads(node: Node) -> tuple[type[Node], ...]:
    if isinstance(node, Population):
        return (Connection,)
    if isinstance(node, Connection):
        return (Input, Population)
    return (Population,)


def _counts(graph: Graph) -> list[str]:
    found = []
    for kind in (Input, Output):
        names = [n.name for n in graph if isinstance(n, kind)]
        if len(names) != 1:
            found.append(
                f"{graph.name}: has {len(names)} {kind.__name__} nodes (allowed 1). {', '.join(names)}".strip()
            )
    readers: dict[str, list[str]] = {}
    for node in graph:
        for name in node.inputs:
            readers.setdefault(name, []).append(node.name)
    for node in graph:
        if isinstance(node, Connection) and len(readers.get(node.name, ())) != 1:
            who = ", ".join(readers.get(node.name, ())) or "none"
            found.append(f"{node.name}: a connection feeds one population, got {who}.")
        if isinstance(node, Population) and not node.inputs:
            found.append(f"{node.name}: a population needs at least one connection.")
        if isinstance(node, Connection) and not getattr(graph[node.inputs[0]], "spiking", True):
            found.append(f"{node.name}: reads {node.inputs[0]}, a readout that does not spike.")
    return found


def _stages(graph: Graph) -> list[str]:
    stages = {n.name: n.stage for n in graph if n.stage}
    if len(set(stages.values())) < 2:
        return []
    return [f"{name}: is {stage} in a graph that mixes stages." for name, stage in stages.items()]


def _shapes(graph: Graph) -> list[str]:
    found = []
    for node in graph:
        for connection in (graph.nodes[name] for name in node.inputs if isinstance(node, Population)):
            assert isinstance(node, Population)
            assert isinstance(connection, Connection)
            source = graph.nodes[connection.inputs[0]]
            assert isinstance(source, (Input, Population))
            try:
                shape = connection.out_shape(source.shape)
            except GraphError as error:
                found.append(f"{error} It reads {source.name}.")
                continue
            # A vector is any shape of that size in C order.
            if shape != node.shape and shape != (node.size,):
                found.append(f"{node.name}: has shape {node.shape}, but {connection.name} delivers {shape}.")
    return found


def _cycles(graph: Graph) -> list[str]:
    ordered = {n.name for n in graph.order}
    stuck = [n.name for n in graph if n.name not in ordered]
    if not stuck:
        return []
    return [f"{', '.join(stuck)}: form a loop without delay. Hint: give the connection that closes it delay=1."]
