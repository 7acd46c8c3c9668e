"""From a graph to Lava processes, and from what they recorded to a Result."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from seamount.ir import Connection, Conv, Graph, IntConnection, Population
from seamount.neurons import (
    LI,
    LIF,
    CubaLIF,
    GradedLIF,
    IntCubaLIF,
    IntGradedLIF,
    IntLI,
    IntResonateAndFire,
    IntSigmaDelta,
    IntTernaryLIF,
    ResonateAndFire,
    SigmaDelta,
    TernaryLIF,
)
from seamount.passes.schedule import Schedule
from seamount.program import Result
from seamount_targets.lava.memory import shared_zeros
from seamount_targets.reference import collect

if TYPE_CHECKING:
    from lava.magma.core.process.ports.ports import InPort
    from lava.magma.core.process.process import AbstractProcess
    from scipy.sparse import csr_matrix

ONE_SIDED = (LI, IntLI, LIF, CubaLIF, IntCubaLIF)
TWO_SIDED = (TernaryLIF, IntTernaryLIF, GradedLIF, IntGradedLIF)
"""What runs on Lava's models of LIF, by its thresholds."""
WEIGHT_BITS = 8
MESSAGE_BITS = 24
"""Of spikes that carry a number: connections multiply then instead of selecting columns."""


class Network:
    """One run of a graph: its processes, their inputs, what they record.

    A subclass that replaces the process of some connections or populations (for learning, say) overrides `connection`,
    `population`, `sender` or `wire`.

    Args:
        graph: what to run; its processes have vectors for its shapes.
        plan: its chip timing.
        x: checked spikes `[T, B, *shape]`; samples follow each other in one stream.
        record: as in Program.run.

    Attributes:
        interval: steps per sample, T.
        steps: chip steps of the whole run.
        processes: by node, once `build` has run.
        traces: by node and by port or variable, what a tap records: `[steps, n]` in chip time, shared.
    """

    def __init__(self, graph: Graph, plan: Schedule, x: np.ndarray, record: frozenset[str]) -> None:
        self.graph, self.plan, self.record = graph, plan, record
        self.interval, self.samples = x.shape[:2]
        self.steps = self.samples * self.interval + plan.depth
        self.rows = self.stream(x)
        self.processes: dict[str, AbstractProcess] = {}
        self.traces: dict[str, dict[str, np.ndarray]] = {p.name: self._traces(p) for p in graph.populations}

    def stream(self, values: np.ndarray, start: int = 0) -> np.ndarray:
        """`[T, B, *shape]` as rows `[start + B T, n]` of a Stream: sample after sample, after `start` rows of zeros."""
        rows = values.swapaxes(0, 1).reshape(self.samples * self.interval, -1)
        return np.concatenate([np.zeros((start, rows.shape[1]), rows.dtype), rows])

    def build(self) -> AbstractProcess:
        """Make and connect the processes; called in the process that runs them."""
        from seamount_targets.lava.processes.streams import Stream
        from seamount_targets.lava.taps import tap

        source = self.graph.input.name
        self.processes[source] = Stream(rows=self.rows, name=source)
        self.processes |= {node.name: self.population(flat(node)) for node in self.graph.populations}
        self.processes |= {node.name: self.connection(node) for node in self.graph.connections}
        for name, traces in self.traces.items():
            tap(self.processes[name], **traces)
        self.wire()
        return self.processes[source]

    def wire(self) -> None:
        """Connect ports: source to connection to population."""
        for node in self.graph.connections:
            process = self.processes[node.name]
            self.sender(node).s_out.connect(process.s_in)  # type: ignore[attr-defined]
            process.a_out.connect(self.receiver(node))  # type: ignore[attr-defined]

    def receiver(self, node: Connection) -> InPort:
        """The port of the population that a connection feeds; a resonator's input goes to its real part."""
        process: Any = self.processes[self.graph.target(node).name]
        return process.a_real_in if hasattr(process, "a_real_in") else process.a_in

    def sender(self, node: Connection) -> AbstractProcess:
        """The process whose spikes a connection receives."""
        return self.processes[self.graph.source(node).name]

    def population(self, node: Population) -> AbstractProcess:
        """The process of a population: one on Lava's own models where they do, else one that runs the node's step."""
        from lava.proc.lif.process import LIFReset

        from seamount_targets.lava.processes.neurons import LIFSubtract, LIFTwoSided, LIReset
        from seamount_targets.lava.processes.resonators import RFReset
        from seamount_targets.lava.processes.sigma_delta import SigmaDeltaReset
        from seamount_targets.lava.processes.steps import Steps

        own: dict[str, Any] = {
            "name": node.name, "interval": self.interval, "start": self.plan.offsets[node.name]
        }  # fmt: skip
        if isinstance(node, (ResonateAndFire, IntResonateAndFire)) and not node.bias.any():
            re, im, _, vth = node.constants()
            return RFReset(shape=node.shape, re=re, im=im, vth=least(vth), **own)
        if isinstance(node, (SigmaDelta, IntSigmaDelta)):
            bias, vth, *_ = node.constants()
            shift = node.shift if isinstance(node, IntSigmaDelta) else 0
            return SigmaDeltaReset(
                shape=node.shape, bias=bias, vth=least(vth), shift=shift, activation=node.activation,
                cumulative=node.cumulative, **own,
            )  # fmt: skip
        if type(node) not in (*ONE_SIDED, *TWO_SIDED):  # another subclass steps otherwise
            return Steps(node=node, **own)
        arguments = self.population_arguments(node)
        if isinstance(node, (LI, IntLI)):
            return LIReset(**arguments)
        assert isinstance(node, (CubaLIF, IntCubaLIF))
        arguments["vth"] = plain(node.vth)
        if type(node) in TWO_SIDED:
            reset_by = {"zero": None, "subtract": plain(node.reset_by), "none": 0}[node.reset]
            shift = getattr(node, "shift", 0) if node.kind == "graded" else None
            return LIFTwoSided(reset_by=reset_by, shift=shift, **arguments)
        if node.reset == "zero":
            return LIFReset(**arguments)
        return LIFSubtract(reset_by=plain(node.reset_by) if node.reset == "subtract" else 0, **arguments)

    def population_arguments(self, node: Population) -> dict:
        """Arguments that all neurons of Lava share, and the reset of u and v at the population's own offset."""
        assert isinstance(node, (LI, IntLI, CubaLIF, IntCubaLIF))
        arguments = {
            "name": node.name,
            "shape": node.shape,
            "reset_interval": self.interval,
            # Chip steps count from 1: the first step of a population is its offset + 1.
            "reset_offset": (self.plan.offsets[node.name] + 1) % self.interval,
        }
        if isinstance(node, (IntLI, IntCubaLIF)):
            bias = {"bias_mant": plain(node.bias_mant), "bias_exp": node.bias_exp}
            return arguments | bias | {"du": plain(node.du), "dv": plain(node.dv)}
        return arguments | {"du": plain(1 - node.alpha), "dv": plain(1 - node.beta), "bias_mant": plain(node.bias)}

    def connection(self, node: Connection) -> AbstractProcess:
        """The process of a connection: Lava's Sparse or Dense where it takes one step, else ours."""
        from lava.proc.dense.process import Dense
        from lava.proc.sparse.process import Sparse

        from seamount_targets.lava.processes.connections import DelayedDense, DelayedSparse

        sparse = isinstance(node, Conv)
        arguments = self.connection_arguments(node)
        extra = self.plan.extra[node.name]
        if not extra and not node.delay:
            return (Sparse if sparse else Dense)(**arguments)
        start = self.plan.offsets[self.graph.target(node).name]
        kind = DelayedSparse if sparse else DelayedDense
        return kind(extra=extra, delay=node.delay, start=start, interval=self.interval, **arguments)

    def connection_arguments(self, node: Connection) -> dict:
        """Arguments of Dense and Sparse; the sign mode is always given, as Lava would guess it from the weights."""
        from lava.utils.weightutils import SignMode

        sparse = isinstance(node, Conv)
        # Selecting columns of a sparse matrix takes three times as long as a product with it.
        product = sparse or getattr(self.graph.source(node), "kind", "spike") != "spike"
        return {
            "name": node.name,
            "weights": matrix(node, self.graph.source(node).shape) if sparse else node.weight,
            "weight_exp": node.weight_exp if isinstance(node, IntConnection) else 0,
            "num_weight_bits": WEIGHT_BITS,
            "sign_mode": SignMode.MIXED,
            "num_message_bits": MESSAGE_BITS if product else 0,
        }

    def result(self, seconds: float) -> Result:
        """What the run recorded, in canonical time."""
        values = {name: self.canonical(name, t["s_out"]) for name, t in self.traces.items() if "s_out" in t}
        v = {name: self.canonical(name, t["v"]) for name, t in self.traces.items() if "v" in t}
        result = collect(self.graph, values, v, self.record)
        result.seconds = seconds
        return result

    def canonical(self, name: str, trace: np.ndarray) -> np.ndarray:
        """`[steps, n]` in chip time as `[T, B, *shape]` in the time of the population's samples."""
        start = self.plan.offsets[name]
        rows = trace[start : start + self.samples * self.interval]
        shape = self.graph[name].shape  # type: ignore[attr-defined]
        return rows.reshape(self.samples, self.interval, *shape).swapaxes(0, 1)

    def _traces(self, node: Population) -> dict[str, np.ndarray]:
        number = np.int32 if self.graph.stage == "integer" else np.float64
        traces = {}
        if node is self.graph.output or (node.spiking and "spikes" in self.record):
            traces["s_out"] = shared_zeros((self.steps, node.size), node.dtype if node.spiking else number)
        if "v" in self.record:
            traces["v"] = shared_zeros((self.steps, node.size), number)
        return traces


def flat(node: Population) -> Population:
    """The same neurons in a row."""
    values = {name: getattr(node, name) for name in node.ARRAYS}
    rows = {
        name: np.broadcast_to(value, node.shape).ravel()
        for name, value in values.items()
        if value is not None and value.ndim
    }
    return replace(node, shape=(node.size,), **rows)


def matrix(node: Connection, in_shape: tuple[int, ...]) -> csr_matrix:
    """The synapses that are not zero, `[out, in]` of flat indices in C order."""
    from scipy.sparse import csr_matrix

    rows, columns, weights = node.synapses(in_shape)
    found = csr_matrix((weights, (rows, columns)), (prod(node.out_shape(in_shape)), prod(in_shape)))
    found.eliminate_zeros()
    return found


def least(threshold: np.ndarray) -> np.ndarray:
    """The smallest number above a threshold, for what Lava compares by `>=`."""
    return threshold + 1 if threshold.dtype.kind == "i" else np.nextafter(threshold, np.inf)


def plain(value: np.ndarray | None):
    """A number where all neurons share it, as Lava's models expect, else the array."""
    value = np.asarray(value)
    return value.item() if value.ndim == 0 else value
