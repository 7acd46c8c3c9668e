"""The chip's integers at the speed of the machine: what `compile(graph, "loihi2")` runs.

Samples are shared out to threads, some at a time; each goes through the components of the graph one after the other. A
component is a population, or several that feed back into each other. A population runs over all steps at once (its own
recurrent spikes come off the bus, where it has just put them); several alternate, step by step. Before that, incoming
connections whose source is busy are summed for all steps by a matrix product, and convolutions by their events; those
within a loop of populations, or of one with itself, before each step.

Canonical time needs no care: `graph.populations` orders what acts within a step, and delays read older rows of the bus.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from seamount.errors import TargetError
from seamount.fixed_point import shift
from seamount.ir import Graph
from seamount.program import Program, Result
from seamount_targets.loihi import kernels, sums
from seamount_targets.loihi.plan import Block, Plan, Wire, plan

BUFFER_BYTES = 8 << 20
"""Memory that each thread takes on top of inputs and results, unless one step of one sample needs more."""
ACTIVITY_STRIDE = 8
"""Every so many rows are looked at to measure activity."""

_products = threading.Lock()
"""A matrix product uses all cores: one at a time."""
_NO_BYTES, _NO_INTS = np.zeros((0, 0, 0), np.uint8), np.zeros((0, 0, 0), np.int32)


class EmulatorProgram(Program):
    """An integer graph, bit for bit as `reference` runs it.

    Args:
        graph: checked against the limits of the target.
        target: its name.
        threads: worker threads; default all cores.
        path: `sums` of `Loihi.compile`.
    """

    def __init__(self, graph: Graph, target: str, threads: int | None = None, path: str | None = None) -> None:
        super().__init__(graph, target)
        if threads is not None and threads < 1:
            raise TargetError(f"{target}: threads = {threads} (allowed 1 or more).")
        self.threads = threads or os.cpu_count() or 1
        self.plan: Plan = plan(graph, path)

    def _run(self, x: np.ndarray, record: frozenset[str]) -> Result:
        graph, (steps, batch) = self.graph, x.shape[:2]
        spikes, v = {}, {}
        for node in graph.populations:
            is_output = node is graph.output
            if node.spiking and ("spikes" in record or is_output):
                spikes[node.name] = np.empty((steps, batch, node.size * np.dtype(node.dtype).itemsize), np.uint8)
            if "v" in record or (is_output and not node.spiking):
                v[node.name] = np.empty((steps, batch, node.size), np.int32)
        x = x.reshape(steps, batch, -1)
        size, window = self._portion(steps, batch)
        portions = iter([(b, min(b + size, batch)) for b in range(0, batch, size)])

        def work() -> None:
            worker = _Worker(self.plan, x, spikes, v, size, window)
            for first, last in portions:
                worker.run(first, last)

        workers = min(self.threads, -(-batch // size))
        if workers == 1:
            work()
        else:
            # Threads end with the run: nothing is left behind for a process that forks afterwards.
            with ThreadPoolExecutor(workers) as pool:
                for future in [pool.submit(work) for _ in range(workers)]:
                    future.result()

        spikes = {name: a.view(graph[name].dtype) for name, a in spikes.items()}  # type: ignore[attr-defined]
        shaped = {
            kind: {n.name: a[n.name].reshape(steps, batch, *n.shape) for n in graph.populations if n.name in a}
            for kind, a in (("spikes", spikes), ("v", v))
        }
        output = shaped["spikes" if graph.output.spiking else "v"][graph.output.name]
        return Result(
            output=output,
            spikes=shaped["spikes"] if "spikes" in record else {},
            v=shaped["v"] if "v" in record else {},
        )

    def _portion(self, steps: int, batch: int) -> tuple[int, int]:
        """Samples and steps that one worker takes at a time, so that its buffers stay within BUFFER_BYTES."""
        blocks = [block for component in self.plan.components for block in component]
        widest = max(block.weights.shape[1] for block in blocks)
        source = max(wire.width for block in blocks for wire in block.wires)
        # A row of the bus, and of a matrix product: its sums, their total, and its operand.
        rows = BUFFER_BYTES // (self.plan.columns + 4 * self.plan.graded_columns + 12 * widest + 8 * source)
        samples = max(1, min(rows // (steps + self.plan.history), -(-batch // self.threads)))
        return samples, min(steps, max(1, rows // samples - self.plan.history))


class _Worker:
    """Buffers of one thread, and the way of some samples through the plan.

    Args:
        plan: what to run.
        x: input, `[T, B, N]`.
        spikes, v: where to record, by population, `[T, B, N]`.
        size, window: samples and steps at a time.
    """

    def __init__(self, plan: Plan, x: np.ndarray, spikes: dict, v: dict, size: int, window: int) -> None:
        self.plan, self.x, self.spikes, self.v, self.window = plan, x, spikes, v, window
        self.bus = kernels.zeros((size, plan.history + window, plan.columns), np.uint8)
        self.graded = kernels.zeros((size, plan.history + window, plan.graded_columns), np.int32)
        self.state = {
            block.node.name: kernels.zeros((size, len(block.node.STATE), block.weights.shape[1]), np.int32)
            for component in plan.components
            for block in component
        }

    def run(self, first: int, last: int) -> None:
        """Run samples first..last from a clean state."""
        steps, history, window = self.x.shape[0], self.plan.history, self.window
        for bus in (self.bus, self.graded):
            bus[:, :history] = 0
        for state in self.state.values():
            state[:] = 0
        for t in range(0, steps, window):
            for bus in (self.bus, self.graded) if t else ():
                bus[:, :history] = bus[:, window : window + history].copy()
            self._window(first, last, t, min(t + window, steps))

    def _window(self, first: int, last: int, start: int, end: int) -> None:
        samples, steps = last - first, end - start
        if self.x.dtype == np.uint8:
            kernels.load(self.x, self.bus, self.plan.history, first, start, samples, steps)
        for component in self.plan.components:
            calls = [self._prepare(block, first, last, start, end) for block in component]
            if len(calls) == 1 and not any(wire.inside for wire in component[0].wires):
                calls[0](0, steps)
            else:
                for t in range(steps):
                    for call in calls:
                        call(t, t + 1)

    def _prepare(self, block: Block, first: int, last: int, start: int, end: int):
        """Make the matrix products of a block; return what advances it from one step of the window to another."""
        name, history, samples = block.node.name, self.plan.history, last - first
        by_event, by_product, by_step = [], [], []
        for wire in block.wires:
            few = not wire.inside and self._few_events(wire, samples, end - start)
            (by_step if wire.inside else by_event if few else by_product).append(wire)
        summed = _NO_INTS
        if by_product or by_step:
            summed = kernels.zeros((samples, end - start, block.weights.shape[1]), np.int32)
            for wire in by_product:
                if wire.convolution is not None:
                    a = summed.reshape(-1, summed.shape[2])
                    wire.convolution.add(self._source(wire, first, last, start, end), wire.shift, a)
                    continue
                s = torch.from_numpy(self._source(wire, first, last, start, end))
                q = torch.from_numpy(block.weights[wire.row : wire.row + wire.width])
                with _products:
                    a = shift(sums.PRODUCTS[wire.product](s, q), wire.shift)
                summed += a.numpy().reshape(summed.shape)
        kind = kernels.KINDS.index
        rows = [(w.column, w.width, w.row, w.delay, w.shift, kind(w.kind)) for w in by_event]
        wires = np.array(rows, np.int64).reshape(-1, 6)
        spikes, v = self.spikes.get(name, _NO_BYTES), self.v.get(name, _NO_INTS)

        def call(t0: int, t1: int) -> None:
            for wire in by_step:
                a = np.zeros((samples, summed.shape[2]), np.int32)
                row = history + t0 - wire.delay
                wire.convolution.add(self._on_bus(wire, samples, row, row + 1), wire.shift, a)
                summed[:, t0] += a
            kernels.advance(
                block.code, self.bus, self.graded, summed, wires, block.weights, block.constants, self.state[name],
                spikes, v, block.column, kind(block.node.kind), block.v_index, history, self.x.shape[1], first, start,
                samples, t0, t1,
            )  # fmt: skip

        return call

    def _few_events(self, wire: Wire, samples: int, steps: int) -> bool:
        if wire.events is not None:
            return wire.events
        busy = kernels.activity(
            self.bus, self.plan.history - wire.delay, wire.column, wire.width, samples, steps, ACTIVITY_STRIDE
        )
        return busy < sums.EVENT_ACTIVITY[wire.product]

    def _source(self, wire: Wire, first: int, last: int, start: int, end: int) -> np.ndarray:
        """What a wire's source sent, `[samples * steps, width]`, as the wire delivers it within the window."""
        if wire.column >= 0:
            row = self.plan.history - wire.delay
            return self._on_bus(wire, last - first, row, row + end - start)
        before = min(max(0, wire.delay - start), end - start)
        s = np.zeros((last - first, end - start, wire.width), self.x.dtype)
        s[:, before:] = self.x[start + before - wire.delay : end - wire.delay, first:last].swapaxes(0, 1)
        return s.reshape(-1, wire.width)

    def _on_bus(self, wire: Wire, samples: int, first: int, last: int) -> np.ndarray:
        """Rows first..last of a wire's source, `[samples * rows, width]`."""
        bus = self.graded if wire.kind == "graded" else self.bus
        s = np.ascontiguousarray(bus[:samples, first:last, wire.column : wire.column + wire.width])
        return (s.view(np.int8) if wire.kind == "signed" else s).reshape(-1, wire.width)
