"""Loihi chips, each described by a TOML file of its name, run by a fast bit-exact emulator."""

from __future__ import annotations

from typing import Any

from seamount.errors import TargetError
from seamount.ir import Graph
from seamount.learning import plasticity_of
from seamount.passes.schedule import schedule
from seamount.program import Program
from seamount.targets import Target
from seamount_targets.loihi.chip import load


def target(name: str) -> Target:
    return Loihi(name)


class Loihi(Target):
    """A chip by name.

    Attributes:
        chip: its description.
    """

    learns = True

    def __init__(self, name: str) -> None:
        self.chip = load(name)
        self.name, self.summary, self.limits = self.chip.name, self.chip.summary, self.chip.limits

    def check(self, graph: Graph) -> None:
        """Also refuse a loop that only canonical time could run, as the emulator does: on the chip it has no schedule.

        Raises:
            PassError: naming each connection that closes one, and the delay that would do.
        """
        super().check(graph)
        schedule(graph)

    def compile(
        self,
        graph: Graph,
        learn: dict[str, Any] | None = None,
        threads: int | None = None,
        sums: str | None = None,
        rounding: str = "shared",
    ) -> Program:
        """Return a program for a checked graph.

        Args:
            graph: integer graph.
            learn: at most one connection and its rule.
            threads: worker threads; default all cores.
            sums: the one path, of `seamount_targets.loihi.sums.PATHS`, to take wherever it is exact; default the
                fastest. The results are the same.
            rounding: of learned weights: `"shared"`, one random number a step for all synapses, as Lava; or
                `"per-synapse"`, one for each, as the chip.

        Raises:
            UnsupportedNodeError: the connection cannot learn, with all reasons.
        """
        from seamount_targets.loihi.emulator import EmulatorProgram
        from seamount_targets.loihi.learning import ROUNDINGS, EmulatedLearning

        if rounding not in ROUNDINGS:
            raise TargetError(f"{self.name}: rounding = {rounding!r} (allowed: {', '.join(ROUNDINGS)}).")
        if learn:
            return EmulatedLearning(graph, self.name, plasticity_of(graph, learn), rounding, threads=threads, path=sums)
        return EmulatorProgram(graph, self.name, threads=threads, path=sums)
