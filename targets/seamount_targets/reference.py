"""The living definition of the semantics: NumPy, canonical time, one step after the other.

Within a step a spike passes all connections without delay; a connection with delay d delivers what its source sent d
steps ago, and nothing before the sample began.
"""

from __future__ import annotations

import numpy as np

from seamount.ir import Graph, Population
from seamount.limits import Limits
from seamount.program import Program, Result
from seamount.targets import Target


class Reference(Target):
    name = "reference"
    summary = "NumPy, short: the definition that the other targets are compared with"
    stages = ("float", "integer")
    limits = Limits(weight=(-(2**15), 2**15), weight_step=1, weight_exp=(-16, 16))

    def compile(self, graph: Graph, learn=None) -> Program:
        return ReferenceProgram(graph, self.name)


def target(name: str) -> Target:
    return Reference()


class ReferenceProgram(Program):
    def _run(self, x: np.ndarray, record: frozenset[str]) -> Result:
        graph, (steps, batch) = self.graph, x.shape[:2]
        number = np.int64 if graph.stage == "integer" else np.float64
        values = {graph.input.name: x.astype(number)}
        state, v = {}, {}
        for node in graph.populations:
            values[node.name] = np.zeros((steps, batch, *node.shape), number)
            v[node.name] = np.zeros((steps, batch, *node.shape), number)
            state[node.name] = tuple(np.zeros((batch, *node.shape), number) for _ in node.STATE)
        for t in range(steps):
            for node in graph.populations:
                a = sum(
                    c.apply(values[c.inputs[0]][t - c.delay]).reshape(batch, *node.shape)
                    for c in graph.incoming(node)
                    if t >= c.delay
                )
                out, *state[node.name] = node.step(
                    a + np.zeros_like(v[node.name][t]), *state[node.name], *node.constants()
                )
                values[node.name][t] = out
                v[node.name][t] = state[node.name][node.STATE.index("v")]
        return collect(graph, values, v, record)


def collect(graph: Graph, values: dict, v: dict, record: frozenset[str]) -> Result:
    """A Result from everything a run produced, in the dtypes that Result promises."""
    number = np.int32 if graph.stage == "integer" else np.float64

    def as_output(node: Population) -> np.ndarray:
        return values[node.name].astype(node.dtype if node.spiking else number)

    return Result(
        output=as_output(graph.output),
        spikes={n.name: as_output(n) for n in graph.populations if n.spiking} if "spikes" in record else {},
        v={n.name: v[n.name].astype(number) for n in graph.populations} if "v" in record else {},
    )
