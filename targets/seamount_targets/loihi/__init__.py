"""Loihi chips, each described by a TOML file of its name, run by a fast bit-exact emulator."""

from __future__ import annotations

from typing import Any

from seamount.errors import TargetError
from seamount.ir import Graph
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

    def __init__(self, name: str) -> None:
        self.chip = load(name)
        self.name, self.summary, self.limits = self.chip.name, self.chip.summary, self.chip.limits

    def compile(
        self, graph: Graph, learn: dict[str, Any] | None = None, threads: int | None = None, sums: str | None = None
    ) -> Program:
        """Return a program for a checked graph.

        Args:
            graph: integer graph.
            learn: not supported.
            threads: worker threads; default all cores.
            sums: the one path, of `seamount_targets.loihi.sums.PATHS`, to take wherever it is exact; default the
                fastest. The results are the same.
        """
        from seamount_targets.loihi.emulator import EmulatorProgram

        if learn:
            raise TargetError(f"{self.name}: does not learn. Hint: compile for lava.")
        return EmulatorProgram(graph, self.name, threads=threads, path=sums)
