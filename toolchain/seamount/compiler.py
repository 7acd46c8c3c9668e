"""From a graph to a program."""

from __future__ import annotations

from typing import Any

from seamount import targets
from seamount.errors import TargetError
from seamount.ir import Graph
from seamount.program import Program


def compile(graph: Graph, target: str = "loihi2", learn: dict[str, Any] | None = None, **options: Any) -> Program:  # noqa: A001
    """Compile a graph for a target.

    Args:
        graph: float or integer; what the target accepts.
        target: a name from `seamount targets`.
        learn: learning rules by connection, such as `{"readout": sm.learning.OTTT(lr=0.5)}`.
        options: the target's own.

    Raises:
        TargetError: no such target, or it is not installed.
        UnsupportedNodeError, ResourceError: what the target cannot run, all of it.
        PassError: a loop that is faster than the target's chip, where every connection takes a step.
    """
    found = targets.find(target)
    found.check(graph)
    if learn and not found.learns:
        raise TargetError(f"{target}: does not learn. Hint: compile for lava or loihi2.")
    return found.compile(graph, learn=learn, **options)
