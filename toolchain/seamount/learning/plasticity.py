"""What a program needs to know of a connection that learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from seamount.errors import UnsupportedNodeError, raise_all
from seamount.ir import Graph, IntLinear
from seamount.learning.rule import Rule
from seamount.neurons import IntCubaLIF


@dataclass(frozen=True, eq=False, kw_only=True)
class Plasticity:
    """A learning connection on a chip.

    Args:
        connection: name of the IntLinear.
        population: the neurons it feeds, which send the modulator.
        rule: of the chip.
        table: int64 `[n]`, 0..127, of `modulator`.
        shift, low: of the table, as `modulator` takes them.
        report: what became of the rule on the chip, for people.
    """

    connection: str
    population: str
    rule: Rule
    table: np.ndarray
    shift: int
    low: int
    report: dict[str, Any]


class LearningRule(Protocol):
    """What `compile(learn={connection: rule})` takes, such as OTTT."""

    def plasticity(self, graph: Graph, connection: str) -> Plasticity:
        """Return the chip's form of the rule for a connection that `plasticity_of` has accepted."""
        ...


def plasticity_of(graph: Graph, learn: dict[str, LearningRule]) -> Plasticity:
    """Check what should learn, and return it in the chip's form.

    One connection learns: the only one into the spiking output population, from the input or another population,
    without delay and without a way back from the output. Everything before it stays as it is.

    Args:
        graph: integer graph.
        learn: one rule, by the name of its connection.

    Raises:
        GraphError: no node of that name.
        UnsupportedNodeError: the connection cannot learn, with all reasons.
    """
    if graph.stage != "integer":
        raise UnsupportedNodeError(f"{graph.name}: is a {graph.stage} graph; integer graphs learn. Hint: sm.quantize.")
    if len(learn) != 1:
        raise UnsupportedNodeError(f"learn: {', '.join(learn)} (used {len(learn)} connections, limit 1).")
    ((name, rule),) = learn.items()
    node = graph[name]
    if not isinstance(node, IntLinear):
        raise UnsupportedNodeError(f"{name}: is a {type(node).__name__}; an IntLinear can learn.")
    source, post = graph.source(node), graph.target(node)
    found = []
    if post is not graph.output:
        found.append(
            f"{name}: feeds {post.name}, which is not the output ({graph.output.name}); the last layer learns."
        )
    if type(post) is not IntCubaLIF:  # one that resets or fires otherwise has a delta of its own
        found.append(
            f"{name}: feeds {post.name}, a {type(post).__name__}; delta needs neurons that spike (IntCubaLIF)."
        )
    if others := [i for i in post.inputs if i != name]:
        found.append(f"{name}: {post.name} also reads {', '.join(others)}; a connection learns as the only one.")
    if readers := [c.name for c in graph.connections if c.inputs[0] == post.name]:
        found.append(f"{name}: {', '.join(readers)} read {post.name}; what learns must not feed back.")
    if node.delay:
        found.append(f"{name}: delay {node.delay} (allowed 0).")
    if source.kind != "spike":
        found.append(f"{name}: reads {source.kind} values; x1 traces spikes.")
    if not hasattr(rule, "plasticity"):
        found.append(f"{name}: {type(rule).__name__} is not a learning rule. Hint: sm.learning.OTTT(lr=...).")
    raise_all(UnsupportedNodeError, found)
    return rule.plasticity(graph, name)
