"""What compiling gives: a program that runs, and the result of a run."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from seamount.errors import DataError
from seamount.ir import Graph, Input

if TYPE_CHECKING:
    from seamount.learning import Plasticity
    from seamount.report import Report

RECORDABLE = ("spikes", "v")
"""What every program records; one that learns also records `"weights"`."""
EVEN = 2
"""Weights that a chip can load are multiples of this; learned ones need not be."""


@dataclass
class Result:
    """What a run returns; all arrays are time-major and in canonical time.

    Attributes:
        output: `[T, B, *shape]`, spikes (uint8; int8 where they are signed) of the output population, or v of a
            readout, or graded spikes (int32; float64 in a float graph).
        spikes: per spiking population as `output`, `[T, B, *shape]`, where recorded.
        v: per population v after the reset, int32 or float64 `[T, B, *shape]`, where recorded.
        output_scale: value of one unit of a readout's or graded output in the float network, () or `[*shape]`.
        seconds: wall time of the run itself, without compilation.
        weights: per learning connection its weights after the run, int64 `[out, in]`; they may be odd.
        weight_trace: per learning connection its weights after each step, int16 `[B T, out, in]`, sample after sample,
            where recorded.
    """

    output: np.ndarray
    spikes: dict[str, np.ndarray] = field(default_factory=dict)
    v: dict[str, np.ndarray] = field(default_factory=dict)
    output_scale: np.ndarray | None = None
    seconds: float = 0.0
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    weight_trace: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def counts(self) -> np.ndarray:
        """Output summed over time, `[B, *shape]`; its argmax is the rate-decoded class."""
        return self.output.sum(axis=0, dtype=np.float64 if self.output.dtype.kind == "f" else np.int64)

    def learned(self, graph: Graph) -> Graph:
        """A copy of the graph with the learned weights, floored to even ones so that every target can load them."""
        for name, weight in self.weights.items():
            graph = graph.with_weight(name, weight // EVEN * EVEN)
        return graph


class Program(ABC):
    """A graph compiled for a target.

    Args:
        graph: what it runs.
        target: the target's name.

    Attributes:
        plasticity: what learns in a run, or None.
    """

    plasticity: Plasticity | None = None

    def __init__(self, graph: Graph, target: str) -> None:
        self.graph, self.target = graph, target

    def run(self, spikes, record: Sequence[str] = (), labels=None) -> Result:
        """Run samples from a clean state.

        A program that learns begins each run with the weights of its graph, and takes the samples one after the other.

        Args:
            spikes: `[T, B, *shape]`, NumPy array or torch tensor of whole numbers within the Input's bound.
            record: any of `"spikes"`, `"v"`: what to keep of every population; `"weights"` of a connection that learns.
            labels: int `[B]`, for a program that learns and only for one: the output neuron that should fire.

        Raises:
            DataError: naming what is wrong with the spikes or the labels.
            TargetError: the target failed while running.
        """
        allowed = RECORDABLE if self.plasticity is None else (*RECORDABLE, "weights")
        unknown = sorted(set(record) - set(allowed))
        if unknown:
            raise DataError(f"record: {', '.join(unknown)} cannot be recorded. Allowed: {', '.join(allowed)}.")
        x = check_spikes(spikes, self.graph.input)
        if self.plasticity is None and labels is not None:
            raise DataError("labels: are given, but nothing learns. Hint: compile(..., learn={connection: rule}).")
        y = None if self.plasticity is None else check_labels(labels, x.shape[1], self.graph.output.size)
        start = time.perf_counter()
        result = self._run(x, frozenset(record)) if y is None else self._learn(x, frozenset(record), y)
        result.seconds = result.seconds or time.perf_counter() - start
        result.output_scale = self.graph.output.output_scale
        return result

    def report(self, result: Result | None = None, spikes: np.ndarray | None = None) -> Report:
        """Describe the program in a page to `.save("report.html")`; with a result and its input also what they show."""
        from seamount.report import program_report

        return program_report(self, result, spikes)

    @abstractmethod
    def _run(self, x: np.ndarray, record: frozenset[str]) -> Result:
        """Run checked spikes `[T, B, *shape]`."""

    def _learn(self, x: np.ndarray, record: frozenset[str], labels: np.ndarray) -> Result:
        """Run checked spikes, and learn from checked labels, int64 `[B]`; for programs that set `plasticity`."""
        raise NotImplementedError


def check_spikes(spikes, node: Input) -> np.ndarray:
    """Return spikes as a NumPy array of the Input's dtype, or raise DataError naming what is wrong."""
    if hasattr(spikes, "detach"):
        spikes = spikes.detach().cpu().numpy()
    x = np.asarray(spikes)
    want = "[T, B, " + ", ".join(map(str, node.shape)) + "]"
    if x.ndim != 2 + len(node.shape) or x.shape[2:] != node.shape:
        hint = ""
        if x.shape[1:] == node.shape:
            hint = " Hint: add a batch dimension, spikes[:, None]."
        raise DataError(f"{node.name}: spikes have shape {list(x.shape)} (allowed {want}).{hint}")
    if 0 in x.shape:
        raise DataError(f"{node.name}: spikes of shape {list(x.shape)} are empty.")
    if x.dtype.kind not in "bui":
        raise DataError(f"{node.name}: spikes have dtype {x.dtype} (allowed: bool or an integer type). "
                        f"Hint: spikes.astype({np.dtype(node.dtype).name}).")  # fmt: skip
    low, high = 0 if x.dtype.kind in "bu" else int(x.min()), int(x.max())
    allowed = (0 if node.kind == "spike" else -node.bound, node.bound)
    if low < allowed[0] or high > allowed[1]:
        raise DataError(f"{node.name}: spikes hold values {x.min()}..{high} (allowed {allowed[0]}..{allowed[1]}).")
    return np.ascontiguousarray(x.astype(node.dtype, copy=False))


def check_labels(labels, samples: int, classes: int) -> np.ndarray:
    """Return labels as int64 `[B]`, or raise DataError naming what is wrong."""
    if labels is None:
        raise DataError("labels: are missing, and the program learns. Hint: run(spikes, labels=labels).")
    if hasattr(labels, "detach"):
        labels = labels.detach().cpu().numpy()
    y = np.asarray(labels)
    if y.shape != (samples,):
        raise DataError(f"labels: have shape {list(y.shape)} (allowed [{samples}], one a sample).")
    if y.dtype.kind not in "ui":
        raise DataError(f"labels: have dtype {y.dtype} (allowed: an integer type).")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= classes:
        raise DataError(f"labels: hold {low}..{high} (allowed 0..{classes - 1}).")
    return y.astype(np.int64)
