"""Lava 0.10: every population and connection a process of Intel's framework, on its fixed-point or float models."""

from __future__ import annotations

from typing import Any

import numpy as np

from seamount.errors import ResourceError, TargetError, raise_all
from seamount.ir import NODE_TYPES, Conv, Graph, Population
from seamount.learning import Plasticity, plasticity_of
from seamount.passes.schedule import schedule
from seamount.program import Program, Result
from seamount.targets import Target
from seamount_targets.lava.learning import LearningNetwork
from seamount_targets.lava.network import Network
from seamount_targets.lava.runner import Job, run
from seamount_targets.lava.support import require_lava

SYNAPSE_LIMIT = 1 << 25
"""Synapses of a convolution, which Lava holds one by one: its own Conv has no weight exponent."""

CONNECTIONS = frozenset({"Input", "Output", "Linear", "Conv", "IntLinear", "IntConv"})
"""What it runs beside populations, of which it runs any."""


class Lava(Target):
    name = "lava"
    summary = "Intel's Lava 0.10, bit-accurate models on the CPU: an independent witness"
    stages = ("float", "integer")
    learns = True

    @property
    def nodes(self) -> frozenset[str]:
        return CONNECTIONS | {name for name, kind in NODE_TYPES.items() if issubclass(kind, Population)}

    def compile(self, graph: Graph, learn: dict[str, Any] | None = None, *, timeout: float | None = None) -> Program:
        """Return a program that runs on Lava.

        Args:
            graph: checked.
            learn: at most one connection and its rule.
            timeout: seconds that the steps of one run may take; default: many times what they need.

        Raises:
            TargetError: Lava is not installed.
            PassError: a loop is faster than the chip.
            ResourceError: a convolution of too many synapses.
        """
        require_lava()
        if timeout is not None and not timeout > 0:
            raise TargetError(f"lava: timeout = {timeout} s (allowed: more than 0).")
        if learn:
            return LavaLearning(graph, self.name, plasticity_of(graph, learn), timeout)
        return LavaProgram(graph, self.name, timeout)


def target(name: str) -> Target:
    return Lava()


class LavaProgram(Program):
    """A graph on Lava.

    Args:
        timeout: seconds, or None for `time_limit`.
    """

    def __init__(self, graph: Graph, target: str, timeout: float | None = None) -> None:
        super().__init__(graph, target)
        self.timeout = timeout
        self.plan = schedule(graph)
        used = {node.name: graph.synapses(node) for node in graph.of_type(Conv)}
        raise_all(
            ResourceError,
            [
                f"{name}: synapses of its convolution (used {count}, limit {SYNAPSE_LIMIT}). "
                "Hint: a smaller network, or a target that has convolutions."
                for name, count in used.items()
                if count > SYNAPSE_LIMIT
            ],
        )

    def _run(self, x: np.ndarray, record: frozenset[str]) -> Result:
        return self._run_network(Network(self.graph, self.plan, x, record))

    def _run_network(self, network: Network) -> Result:
        tag = "fixed_pt" if self.graph.stage == "integer" else "floating_pt"
        limit = self.timeout or self.time_limit(network.steps)
        return network.result(run(Job(network.build, network.steps, tag, limit)))

    def time_limit(self, steps: int) -> float:
        """Seconds that a run is given: a minute, and some ten times what steps of this size were measured to take."""
        synapses = sum(max(c.weight.size, self.graph.synapses(c)) for c in self.graph.connections)
        return 60 + steps * (0.02 + 2e-7 * synapses + 0.01 * len(self.graph.nodes))


class LavaLearning(LavaProgram):
    """A graph of which one connection learns.

    Args:
        plasticity: what learns.
        others: as for LavaProgram.
    """

    def __init__(self, graph: Graph, target: str, plasticity: Plasticity, timeout: float | None = None) -> None:
        super().__init__(graph, target, timeout)
        self.plasticity: Plasticity = plasticity

    def _learn(self, x: np.ndarray, record: frozenset[str], labels: np.ndarray) -> Result:
        return self._run_network(LearningNetwork(self.graph, self.plan, x, record, self.plasticity, labels))
