"""A graph as text: one line a node, in topological order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from seamount.ir.graph import Graph


def to_text(graph: Graph) -> str:
    """The readable form that `print(graph)` and `seamount inspect` show."""
    rows = [(n.name, type(n).__name__, ", ".join(n.inputs) or "()", _parameters(n.parameters())) for n in graph.order]
    widths = [max((len(r[i]) for r in rows), default=0) for i in range(3)]
    lines = [
        "  " + "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    ]
    return "\n".join([f"graph {graph.name} ({graph.stage})", *lines])


def _parameters(parameters: dict[str, object]) -> str:
    return " ".join(f"{name}={_value(value)}" for name, value in parameters.items() if value is not None)


def _value(value: object) -> str:
    if not isinstance(value, np.ndarray):
        return str(value)
    if value.size == 1 and value.ndim < 2:
        return f"{value.item():.6g}"
    low, high = value.min(), value.max()
    span = f"{low:.6g}" if low == high else f"{low:.6g}..{high:.6g}"
    return f"{value.dtype}{list(value.shape)} {span}"
