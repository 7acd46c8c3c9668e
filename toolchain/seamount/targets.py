"""Finding targets by name.

A target is a module `seamount_targets/<name>.py`, or a package of that name, with a function `target(name)`. A package
that holds `*.toml` descriptions serves one target per description, named after the file. Any distribution may add
modules to the `seamount_targets` namespace path.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from seamount.errors import ResourceError, TargetError, UnsupportedNodeError, raise_all
from seamount.ir import NODE_TYPES, Connection, Graph, Input, Output, Population
from seamount.limits import Limits, violations
from seamount.program import Program


class Target(ABC):
    """Somewhere a graph can run.

    Attributes:
        name: what `compile(target=...)` says.
        summary: one line for `seamount targets`.
        stages: stages it accepts; in the integer stage every target returns the same bits.
        limits: what its integers hold.
        special: names of the node types it runs, for a target with code of its own for each; None for a target that
            executes the `step` of any population, also of one that is defined elsewhere.
        learns: whether `compile(learn=...)` is supported.
    """

    name: str
    summary: str
    stages: tuple[str, ...] = ("integer",)
    limits: Limits = Limits()
    special: frozenset[str] | None = None
    learns: bool = False

    @property
    def nodes(self) -> frozenset[str]:
        """Names of the node types it runs."""
        if self.special is not None:
            return self.special
        return frozenset(
            name
            for name, kind in NODE_TYPES.items()
            if kind in (Input, Output) or (kind.stage in self.stages and issubclass(kind, (Connection, Population)))
        )

    def check(self, graph: Graph) -> None:
        """Raise where the target cannot run the graph, naming every reason.

        Raises:
            UnsupportedNodeError: a stage or a node type it does not have.
            ResourceError: parameters outside its limits.
        """
        if graph.stage not in self.stages:
            raise UnsupportedNodeError(
                f"{graph.name}: is a {graph.stage} graph; {self.name} runs {' and '.join(self.stages)} graphs."
                + (" Hint: sm.quantize the network before sm.lower." if graph.stage == "float" else "")
            )
        raise_all(
            UnsupportedNodeError,
            [
                f"{n.name}: {type(n).__name__} does not run on {self.name} (allowed: {', '.join(sorted(self.nodes))})."
                for n in graph
                if type(n).__name__ not in self.nodes
            ],
        )
        if graph.stage == "integer":
            raise_all(ResourceError, violations(graph, self.limits))

    @abstractmethod
    def compile(self, graph: Graph, learn: dict[str, Any] | None = None, **options: Any) -> Program:
        """Return a program for a checked graph."""


def _modules() -> dict[str, str]:
    """Target name -> module that serves it, without importing any."""
    try:
        package = importlib.import_module("seamount_targets")
    except ImportError:
        return {}
    found = {}
    for info in pkgutil.iter_modules(package.__path__):
        folder = Path(info.module_finder.path) / info.name  # type: ignore[union-attr]
        descriptions = sorted(folder.glob("*.toml")) if info.ispkg else []
        for name in [d.stem for d in descriptions] or [info.name]:
            found[name] = f"seamount_targets.{info.name}"
    return found


def names() -> list[str]:
    """Names of the targets that are there, sorted."""
    return sorted(_modules())


def find(name: str) -> Target:
    """Return a target.

    Raises:
        TargetError: there is none of that name, or what it needs is not installed.

    Example:
        >>> find("reference").name
        'reference'
    """
    modules = _modules()
    if name not in modules:
        raise TargetError(f"{name}: no such target. There are: {', '.join(sorted(modules))}.")
    return importlib.import_module(modules[name]).target(name)
