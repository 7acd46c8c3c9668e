"""One truth: running a graph on several targets and comparing every spike and every v."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from seamount import compiler
from seamount.errors import DivergenceError, GraphError
from seamount.ir import Graph
from seamount.program import Program, Result, check_spikes

if TYPE_CHECKING:
    from torch import nn

EVERYTHING = ("spikes", "v")


@dataclass(frozen=True)
class Row:
    """One witness against the first.

    Attributes:
        target: its name.
        samples, steps: what was compared.
        spikes: spikes of the first witness over all populations, in the samples compared.
        values: how many values (0 or 1 for every neuron and step) were compared.
        equal: how many of them were equal.
        v_values, v_equal: the same for v.
        seconds: of the run.
    """

    target: str
    samples: int
    steps: int
    spikes: int
    values: int
    equal: int
    v_values: int
    v_equal: int
    seconds: float

    @property
    def ok(self) -> bool:
        return self.equal == self.values and self.v_equal == self.v_values

    @property
    def steps_per_second(self) -> float:
        """Sample-steps per second."""
        return self.samples * self.steps / self.seconds if self.seconds else float("inf")


@dataclass
class VerifyReport:
    """What `verify` found.

    Attributes:
        rows: one per witness, the first compared with itself.
        divergence: the first difference, if there is one.
        results: what each witness returned, by name.
    """

    rows: list[Row] = field(default_factory=list)
    divergence: DivergenceError | None = None
    results: dict[str, Result] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)

    def check(self) -> VerifyReport:
        """Raise the DivergenceError if there is one; else return the report."""
        if self.divergence is not None:
            raise self.divergence
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        return {
            "ok": self.ok,
            "rows": [{**asdict(r), "ok": r.ok, "steps_per_second": r.steps_per_second} for r in self.rows],
            "divergence": None if self.divergence is None else str(self.divergence),
        }


def verify(
    graph: Graph,
    targets: Sequence[str | Program | nn.Module],
    spikes: Any,
    *,
    samples: dict[str, int] | None = None,
) -> VerifyReport:
    """Run an integer graph on several witnesses and compare all spikes and all v, of every population and step.

    Args:
        graph: integer.
        targets: names of targets, compiled programs, or the quantized torch network itself (shown as `"torch"`). The
            first is what the others are compared with.
        spikes: `[T, B, *shape]`.
        samples: by target, how many samples it runs (slow targets); the others run all.

    Returns:
        A report; `.check()` raises DivergenceError at the first step, sample, layer and neuron that differ.

    Raises:
        GraphError: the graph is a float one, which promises no equality.

    Example:
        >>> import seamount as sm, numpy as np
        >>> from seamount.testing import random_graph, random_spikes
        >>> rng = np.random.default_rng(0)
        >>> graph = random_graph(rng)
        >>> sm.verify(graph, ["reference", "onnxruntime"], random_spikes(rng, graph, steps=5, batch=2)).ok
        True
    """
    if graph.stage != "integer":
        raise GraphError(f"{graph.name}: is a float graph; equality is promised for integer graphs. Hint: sm.quantize.")
    x = check_spikes(spikes, graph.input)
    report = VerifyReport()
    want_name, want = "", Result(x)
    for witness in targets:
        name = _name(witness)
        part = x[:, : (samples or {}).get(name, x.shape[1])]
        if name in report.results:
            name += f" ({sum(row.target.startswith(name) for row in report.rows) + 1})"
        result = _run(graph, witness, part)
        if not report.rows:
            want_name, want = name, result
        report.results[name] = result
        report.rows.append(_compare(name, result, want, part.shape[1]))
        if report.divergence is None and not report.rows[-1].ok:
            report.divergence = first_difference(graph, name, result, want_name, want)
    return report


def _name(witness: str | Program | nn.Module) -> str:
    if isinstance(witness, str):
        return witness
    return witness.target if isinstance(witness, Program) else "torch"


def _run(graph: Graph, witness: str | Program | nn.Module, x: np.ndarray) -> Result:
    if isinstance(witness, str):
        witness = compiler.compile(graph, witness)
    return witness.run(x, record=EVERYTHING) if isinstance(witness, Program) else run_torch(graph, witness, x)


def run_torch(graph: Graph, net: nn.Module, x: np.ndarray) -> Result:
    """Run a quantized torch network and return what it did in the form of a target's result."""
    import time

    import torch

    from seamount.nn import recording

    start = time.perf_counter()
    with torch.no_grad(), recording(net) as populations:
        net(torch.from_numpy(x.astype(np.float32)))
    seconds = time.perf_counter() - start
    spikes, v = {}, {}
    for node in graph.populations:
        module = populations[node.name]
        assert module.recorded_spikes is not None
        assert module.recorded_v is not None
        v[node.name] = module.recorded_v.numpy().astype(np.int32)
        if node.spiking:
            unit = node.output_scale if node.kind == "graded" else 1
            spikes[node.name] = (module.recorded_spikes.numpy() / unit).astype(node.dtype)
    output = (spikes if graph.output.spiking else v)[graph.output.name]
    return Result(output, spikes, v, graph.output.output_scale, seconds)


def _compare(name: str, got: Result, want: Result, samples: int) -> Row:
    def count(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> tuple[int, int]:
        total = sum(a[k].size for k in a)
        return total, sum(int(np.count_nonzero(a[k] == b[k][:, :samples])) for k in a)

    return Row(
        name,
        samples,
        len(got.output),
        sum(int(np.count_nonzero(s[:, :samples])) for s in want.spikes.values()),
        *count(got.spikes, want.spikes),
        *count(got.v, want.v),
        got.seconds,
    )


def first_difference(graph: Graph, name: str, got: Result, want_name: str, want: Result) -> DivergenceError | None:
    """The earliest step at which two results differ; in it the first layer, v before spikes, then sample and neuron."""
    found: list[tuple[tuple[int, int, int], DivergenceError]] = []
    for depth, node in enumerate(graph.populations):
        for rank, what in enumerate(("v", "spikes")):
            a, b = getattr(got, what).get(node.name), getattr(want, what).get(node.name)
            if a is None or b is None:
                continue
            different = a != b[:, : a.shape[1]]
            if not different.any():
                continue
            t = int(np.flatnonzero(different.reshape(len(a), -1).any(axis=1))[0])
            sample, neuron = np.argwhere(different[t].reshape(a.shape[1], -1))[0]
            values = [int(r[t, sample].reshape(-1)[neuron]) for r in (a, b)]
            error = DivergenceError(
                witness=name, against=want_name, what=what, t=t, sample=int(sample),
                node=node.name, neuron=int(neuron), got=values[0], want=values[1],
            )  # fmt: skip
            found.append(((t, depth, rank), error))
    return min(found, key=lambda f: f[0])[1] if found else None
