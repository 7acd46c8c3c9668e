"""The graph: named nodes, in one of two stages, checked when it is made."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from seamount.errors import GraphError, raise_all
from seamount.ir.node import Connection, Input, Node, Output, Population

N = TypeVar("N", bound=Node)


@dataclass(frozen=True, eq=False)
class Graph:
    """A network of populations and connections; float, or integer: the form whose result every exact target gives.

    Args:
        nodes: in any order; names must be unique.
        name: what reports and files call the network.

    Raises:
        GraphError: with everything that is wrong, each by node.

    Example:
        >>> import numpy as np, seamount as sm
        >>> from seamount.ir import Graph, Input, IntLinear, Output
        >>> from seamount.neurons import IntCubaLIF
        >>> print(Graph([
        ...     Input(name="input", shape=(2,)),
        ...     IntLinear(name="fc", inputs=["input"], weight=np.array([[2, -4]])),
        ...     IntCubaLIF(name="lif", inputs=["fc"], shape=(1,), du=4095, dv=410, vth=3),
        ...     Output(name="output", inputs=["lif"]),
        ... ]))
        graph network (integer)
          input   Input       ()     shape=(2,) kind=spike bound=1
          fc      IntLinear   input  delay=0 weight=int64[1, 2] -4..2 weight_exp=0
          lif     IntCubaLIF  fc     shape=(1,) du=4095 dv=410 bias_mant=0 bias_exp=0 vth=3 reset=zero reset_by=0
          output  Output      lif
    """

    nodes: dict[str, Node]
    name: str = "network"

    def __init__(self, nodes: Iterable[Node], name: str = "network") -> None:
        nodes = list(nodes)
        duplicates = [name for name, count in Counter(n.name for n in nodes).items() if count > 1]
        raise_all(GraphError, [f"{name}: the name is given to several nodes." for name in duplicates])
        object.__setattr__(self, "nodes", {n.name: n for n in nodes})
        object.__setattr__(self, "name", name)
        from seamount.ir.verify import problems

        raise_all(GraphError, problems(self))

    def __getitem__(self, name: str) -> Node:
        if name not in self.nodes:
            raise GraphError(f"{name}: no such node. The graph has {', '.join(self.nodes)}.")
        return self.nodes[name]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __str__(self) -> str:
        from seamount.ir.text import to_text

        return to_text(self)

    def of_type(self, kind: type[N]) -> list[N]:
        """All nodes of a type, in topological order."""
        return [n for n in self.order if isinstance(n, kind)]

    @property
    def stage(self) -> str:
        """`"float"` or `"integer"`."""
        return next((n.stage for n in self if n.stage), "float")

    @property
    def input(self) -> Input:
        return next(n for n in self if isinstance(n, Input))

    @property
    def output(self) -> Population:
        """The population that the Output node names."""
        (source,) = next(n for n in self if isinstance(n, Output)).inputs
        node = self[source]
        assert isinstance(node, Population)
        return node

    @property
    def populations(self) -> list[Population]:
        return self.of_type(Population)

    @property
    def connections(self) -> list[Connection]:
        return self.of_type(Connection)

    def source(self, connection: Connection) -> Input | Population:
        """The node whose spikes the connection carries."""
        node = self[connection.inputs[0]]
        assert isinstance(node, (Input, Population))
        return node

    def synapses(self, connection: Connection) -> int:
        """How many synapses a connection has on a chip, which stores those that are not zero, each for itself."""
        return connection.count(self.source(connection).shape)

    def incoming(self, population: Population) -> list[Connection]:
        """The connections that a population sums, in the order of its inputs."""
        return [n for name in population.inputs if isinstance(n := self[name], Connection)]

    def target(self, connection: Connection) -> Population:
        """The population that a connection feeds."""
        return self._target[connection.name]

    @cached_property
    def _target(self) -> dict[str, Population]:
        return {name: population for population in self.populations for name in population.inputs}

    @cached_property
    def order(self) -> list[Node]:
        """Nodes so that each follows everything it reads within the same step."""
        return list(topological(self.nodes))

    def with_nodes(self, *nodes: Node) -> Graph:
        """A copy in which the given nodes take the place of those of the same name."""
        for node in nodes:
            self[node.name]
        return Graph([{**self.nodes, **{n.name: n for n in nodes}}[name] for name in self.nodes], self.name)

    def with_weight(self, connection: str, weight: np.ndarray) -> Graph:
        """A copy with another weight, of the same shape, in one connection."""
        node = self[connection]
        if not isinstance(node, Connection) or np.shape(weight) != node.weight.shape:
            raise GraphError(f"{connection}: cannot take a weight of shape {np.shape(weight)}.")
        return self.with_nodes(replace(node, weight=weight))


def topological(nodes: dict[str, Node]) -> Iterator[Node]:
    """Yield nodes after their same-step inputs (Kahn); nodes in a cycle without delay are left out."""
    waiting: dict[str, int] = {}
    readers: dict[str, list[str]] = {name: [] for name in nodes}
    for node in nodes.values():
        same_step = (
            {i for i in node.inputs if i in nodes} if not (isinstance(node, Connection) and node.delay) else set()
        )
        waiting[node.name] = len(same_step)
        for name in same_step:
            readers[name].append(node.name)
    ready = deque(name for name, count in waiting.items() if not count)
    while ready:
        name = ready.popleft()
        yield nodes[name]
        for reader in readers[name]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
