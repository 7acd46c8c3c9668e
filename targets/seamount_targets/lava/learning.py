"""Learning on Lava: the stock LearningDense, and neurons of our own behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seamount.ir import Connection, Graph, Linear, Population
from seamount.learning import Plasticity, Rule
from seamount.neurons import IntCubaLIF
from seamount.passes.schedule import Schedule
from seamount.program import Result
from seamount_targets.lava.memory import shared_zeros
from seamount_targets.lava.network import Network, plain

if TYPE_CHECKING:
    from lava.magma.core.learning.learning_rule import Loihi3FLearningRule
    from lava.magma.core.process.process import AbstractProcess


class LearningNetwork(Network):
    """One run of a graph of which one connection learns.

    The connection receives the source's spikes in the source's own chip steps, and learns at the end of each: its
    weights after chip step `offset(source) + n` are those after the canonical step n.

    Args:
        plasticity: what learns.
        labels: int64 `[B]`.
        others: as for Network.
    """

    def __init__(
        self,
        graph: Graph,
        plan: Schedule,
        x: np.ndarray,
        record: frozenset[str],
        plasticity: Plasticity,
        labels: np.ndarray,
    ) -> None:
        super().__init__(graph, plan, x, record)
        self.plasticity = plasticity
        node = graph[plasticity.connection]
        assert isinstance(node, Linear)
        self.node, self.start = node, plan.offsets[graph.source(node).name]
        fires = np.eye(graph.output.size, dtype=np.int32)[labels]
        self.targets = self.stream(
            np.broadcast_to(fires, (self.interval, *fires.shape)), plan.offsets[graph.output.name]
        )
        self.traces[node.name] = {"weights": shared_zeros((self.steps, *node.weight.shape), np.int16)}

    def population(self, node: Population) -> AbstractProcess:
        """Neurons that send the modulator, in the place of the output."""
        from seamount_targets.lava.processes.learning import LearningLIFReset

        if node.name != self.plasticity.population:
            return super().population(node)
        assert isinstance(node, IntCubaLIF)
        removed = {"zero": None, "subtract": plain(node.reset_by), "none": 0}[node.reset]
        return LearningLIFReset(
            **self.population_arguments(node),
            vth=plain(node.vth),
            reset_by=removed,
            start=self.plan.offsets[node.name],
            learning_rule=lava_rule(self.plasticity.rule),
            table=self.plasticity.table,
            shift=self.plasticity.shift,
            low=self.plasticity.low,
        )

    def connection(self, node: Connection) -> AbstractProcess:
        """Lava's LearningDense, in the place of what learns."""
        from lava.proc.dense.process import LearningDense

        if node is not self.node:
            return super().connection(node)
        return LearningDense(**self.connection_arguments(node), learning_rule=lava_rule(self.plasticity.rule))

    def sender(self, node: Connection) -> AbstractProcess:
        """A gate behind a population that the learning connection reads."""
        from seamount_targets.lava.processes.learning import Gate

        sender = super().sender(node)
        if node is not self.node or not self.start:
            return sender
        gate = Gate(size=node.weight.shape[1], start=self.start, name=f"{node.name}.gate")
        sender.s_out.connect(gate.s_in)  # type: ignore[attr-defined]
        return gate

    def wire(self) -> None:
        """Connect ports; the learning neurons get their targets, and send the modulator."""
        from seamount_targets.lava.processes.streams import Stream

        super().wire()
        connection, neurons = self.processes[self.node.name], self.processes[self.plasticity.population]
        targets = Stream(rows=self.targets, name=f"{self.node.name}.target")
        targets.s_out.connect(neurons.a_third_factor_in)  # type: ignore[attr-defined]
        for port in ("bap", "y1", "y2", "y3"):
            getattr(neurons, f"s_out_{port}").connect(getattr(connection, f"s_in_{port}"))

    def result(self, seconds: float) -> Result:
        """What the run recorded, in canonical time, and the learned weights."""
        result = super().result(seconds)
        trace = self.traces[self.node.name]["weights"][self.start : self.start + len(self.rows)]
        result.weights = {self.node.name: trace[-1].astype(np.int64)}
        if "weights" in self.record:
            result.weight_trace = {self.node.name: trace}
        return result


def lava_rule(rule: Rule) -> Loihi3FLearningRule:
    """A rule as Lava parses it."""
    from lava.magma.core.learning.learning_rule import Loihi3FLearningRule

    return Loihi3FLearningRule(
        dw=str(rule), x1_impulse=rule.x1_impulse, x1_tau=rule.x1_tau, t_epoch=1, rng_seed=rule.seed
    )
