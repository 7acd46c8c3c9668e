"""`seamount demo`: from training to learning on the chip, on real data, with the proof that all of it agrees."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table

import seamount as sm
from seamount.ir import Graph, IntLinear
from seamount.program import Program, Result
from seamount.report import Report, badge, code_html, environment, figures_html, line_svg, raster_svg, table_html
from seamount.verification import Row, VerifyReport
from seamount_models import recipes, training
from seamount_models.splits import Dataset

RECIPE = "digits"
CODINGS = 5
"""Rate codings of the test set over which the float accuracy is averaged."""
LAVA_SAMPLES = 100
"""Samples that run on Lava, which needs about a millisecond a step."""
LEARNING_RATES = (0.25, 0.125)
"""Rates, in units of a chip's weight, of each pass over the training set when the readout learns on the chip."""
LAVA_LEARNING_SAMPLES = 40
"""Samples that also learn on Lava: 640 steps, every weight of which is compared."""
WINDOW = 100
"""Samples over which the learning curve is averaged."""
LABELS = {
    "torch": "QAT (torch)",
    "reference": "integer graph",
    "onnxruntime": "onnxruntime",
    "lava": "Lava fixed_pt",
    "loihi2": "Loihi 2 emulator",
}
"""Rows of the table, in its order: what each witness is called there."""


@dataclass(frozen=True)
class Learning:
    """The readout relearned on the chip: test accuracy before and after each pass; weights compared with Lava's.

    Attributes:
        accuracy: first of the wiped readout, then after each pass.
        online: share of right answers among the last `WINDOW` samples, while learning, one value a sample.
        samples_per_second: of the emulator while it learns.
        steps, equal: steps that ran on Lava too, and those after which every weight was equal; None without Lava.
    """

    accuracy: list[float]
    online: np.ndarray
    samples_per_second: float
    steps: int | None
    equal: int | None

    @property
    def ok(self) -> bool:
        return self.steps == self.equal


def run(report: str | Path = "report.html", *, seed: int = 0, console: Console | None = None) -> bool:
    """Train, quantize, lower, compile, run everywhere, verify, relearn on the chip; print a table, write a report.

    Args:
        report: where the HTML report goes.
        seed: of the wiped readout and of the order of learning; training follows its recipe.
        console: where to print.

    Returns:
        Whether every equality held.
    """
    console = console or Console()
    started = time.perf_counter()
    has_lava = importlib.util.find_spec("lava") is not None

    recipe = recipes.load(RECIPE)
    sizes = "-".join(map(str, recipe.network["sizes"]))
    console.print(f"[bold]1[/] train {sizes} on {recipe.data['name']}, then fine-tune it quantized to 8 bits")
    net, data, history = recipes.train(recipe)
    codings = [training.evaluate(net, data.test, seed=coding).accuracy for coding in range(CODINGS)]
    qnet = sm.quantize(net, weight_bits=8, target="loihi2", calibration=data.train)
    recipes.fine_tune(recipe, qnet, data)

    console.print("[bold]2[/] lower it to an integer graph, run that everywhere, compare every spike and every v")
    graph = sm.lower(qnet, name=RECIPE)
    x, y = data.test.spikes(seed=0).numpy(), data.test.y.numpy()
    witnesses = ["reference", qnet, "onnxruntime", "loihi2", *(["lava"] if has_lava else [])]
    with console.status("running"):
        verified = sm.verify(graph, witnesses, x, samples={"lava": LAVA_SAMPLES})
        float_accuracy = training.evaluate(net, data.test, seed=0).accuracy

    console.print(f"[bold]3[/] wipe the readout and relearn it on the chip with OTTT, {len(LEARNING_RATES)} passes")
    with console.status("learning"):
        learned = relearn(graph, data, seed=seed, lava=has_lava)

    rows = [{"network": "float (torch)", "accuracy": f"{100 * float_accuracy:.2f} %"}]
    shown = sorted(verified.rows, key=lambda row: list(LABELS).index(row.target))
    rows += [_row(row, verified.results[row.target], y) for row in shown]
    console.print(_table(rows))
    console.print(f"{len(y)} test samples of {len(x)} steps; Lava ran the first {LAVA_SAMPLES}", style="dim")
    if not has_lava:
        console.print("Lava is not installed, so it was left out: [bold]uv sync --extra lava[/]")
    console.print(f"float accuracy over {CODINGS} codings of the test set: {_percent(codings)}")
    steps = " -> ".join(f"{100 * a:.1f}" for a in learned.accuracy)
    console.print(f"readout relearned on the chip: {steps} % ({learned.samples_per_second:.0f} samples/s)")
    if learned.steps is not None:
        console.print(f"learning steps compared with Lava, all weights: {learned.steps}, equal: {learned.equal}")
    ok = verified.ok and learned.ok
    if verified.divergence is not None:
        console.print(f"[red]{verified.divergence}[/]")
    console.print("[bold green]everything agrees[/]" if ok else "[bold red]NOT everything agrees[/]")
    page = _report(graph, data, verified, rows, history, learned, codings, seed)
    console.print(f"report: {page.save(report)}   [dim]{time.perf_counter() - started:.0f} s[/]")
    return ok


def wiped(graph: Graph, connection: str, rng: np.random.Generator, largest: int = 32) -> Graph:
    """A copy of an integer graph with random even weights within `+-largest` in one connection."""
    node = graph[connection]
    assert isinstance(node, IntLinear)
    return graph.with_weight(connection, 2 * rng.integers(-largest // 2, largest // 2 + 1, node.weight.shape))


def relearn(graph: Graph, data: Dataset, *, seed: int, lava: bool, connection: str = "readout") -> Learning:
    """Wipe a connection of an integer graph and learn it again on the emulated chip, step by step.

    Args:
        graph: integer, trained.
        data: its data; the training split is passed once per rate, in a new order and coding each time.
        seed: of the wiped weights, the order and the coding.
        lava: run the first samples on Lava as well, and compare the weights after every step.
        connection: what learns.
    """
    rng = np.random.default_rng(seed)
    x, y = data.test.spikes(seed=0).numpy(), data.test.y.numpy()
    current = wiped(graph, connection, rng)
    accuracy = [_accuracy(current, x, y)]
    compared = equal = None
    right, seconds = [], 0.0
    for epoch, rate in enumerate(LEARNING_RATES):
        rules = {connection: sm.learning.OTTT(lr=rate)}
        order = torch.as_tensor(rng.permutation(len(data.train)))
        spikes, labels = data.train.spikes(order, seed=1000 * seed + epoch).numpy(), data.train.y[order].numpy()
        if epoch == 0 and lava:
            compared, equal = _compare_learning(current, rules, spikes, labels)
        program = sm.compile(current, "loihi2", learn=rules)
        result = program.run(spikes, labels=labels)
        seconds += result.seconds
        right.append(result.counts.argmax(1) == labels)
        current = result.learned(current)
        accuracy.append(_accuracy(current, x, y))
    online = np.convolve(np.concatenate(right), np.full(WINDOW, 1 / WINDOW), mode="valid")
    return Learning(accuracy, online, len(LEARNING_RATES) * len(data.train) / seconds, compared, equal)


def _compare_learning(graph: Graph, rules: dict, spikes: np.ndarray, labels: np.ndarray) -> tuple[int, int]:
    """Learn the first samples on Lava and on the emulator; return steps, and steps after which all weights agree."""
    spikes, labels = spikes[:, :LAVA_LEARNING_SAMPLES], labels[:LAVA_LEARNING_SAMPLES]
    traces = []
    for target in ("lava", "loihi2"):
        program: Program = sm.compile(graph, target, learn=rules)
        traces.append(program.run(spikes, labels=labels, record=("weights",)).weight_trace)
    (name,) = rules
    a, b = (trace[name] for trace in traces)
    return len(b), int((a == b).all(axis=(1, 2)).sum())


def _accuracy(graph: Graph, x: np.ndarray, y: np.ndarray) -> float:
    return float((sm.compile(graph, "loihi2").run(x).counts.argmax(1) == y).mean())


def _percent(values: list[float]) -> str:
    mean = f"{100 * np.mean(values):.2f} %"
    return mean if len(values) == 1 else f"{mean} ({100 * min(values):.2f}..{100 * max(values):.2f})"


def _row(row: Row, result: Result, y: np.ndarray) -> dict[str, str]:
    accuracy = (result.counts.argmax(1) == y[: row.samples]).mean()
    return {
        "network": LABELS[row.target],
        "accuracy": f"{100 * accuracy:.2f} %",
        "spikes": f"{row.values:,}",
        "equal": "all" if row.equal == row.values else f"{row.equal:,}",
        "v equal": "all" if row.v_equal == row.v_values else f"{row.v_equal:,}",
        "time": f"{row.seconds:.3f} s",
        "steps/s": f"{row.steps_per_second:,.0f}",
    }


def _table(rows: list[dict[str, str]]) -> Table:
    """A table for a terminal of 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = max(rows, key=len)
    for name in columns:
        table.add_column(name, justify="left" if name == "network" else "right")
    for row in rows:
        table.add_row(*(row.get(name, "") for name in columns))
    return table


def _report(
    graph: Graph,
    data: Dataset,
    verified: VerifyReport,
    rows: list[dict[str, str]],
    history: training.History,
    learned: Learning,
    codings: list[float],
    seed: int,
) -> Report:
    result, x = verified.results["loihi2"], data.test.spikes(torch.tensor([0]), seed=0).numpy()
    rasters = [raster_svg(x[:, 0], "input"), *(raster_svg(s[:, 0], name) for name, s in result.spikes.items())]
    epochs = list(range(1, len(history.accuracy) + 1))
    columns = max(rows, key=len)
    report = Report("seamount demo", "From training to learning on the chip; every spike compared.")
    report.facts({"float accuracy": _percent(codings), "relearned on chip": f"{100 * learned.accuracy[-1]:.1f} %"})
    report.add(
        "One truth",
        "Every neuron in every step, on the same input spikes, compared with the integer graph.",
        badge(verified.ok, "all spikes and all v equal" if verified.ok else str(verified.divergence)),
        table_html({name: row.get(name, "") for name in columns} for row in rows),
    )
    report.add("Activity", "The first sample of the test set on the emulator.", figures_html(*rasters))
    report.add(
        "Training",
        figures_html(line_svg({"training accuracy": history.accuracy}, "training accuracy", epochs, "epoch")),
    )
    samples = list(range(WINDOW, WINDOW + len(learned.online)))
    while_learning = line_svg(
        {f"right among the last {WINDOW}": learned.online.tolist()},
        "accuracy while learning",
        samples,
        "sample",
        y_range=(0, 1),
    )
    report.add(
        "Learning on the chip",
        "The readout, wiped and relearned by OTTT, one sample after the other. Test accuracy before learning and after "
        f"each pass: {', '.join(_percent([a]) for a in learned.accuracy)}.",
        badge(learned.ok, f"{learned.equal} of {learned.steps} steps: all weights equal Lava's")
        if learned.steps is not None
        else "Lava is not installed: not compared.",
        figures_html(while_learning),
    )
    report.add("Graph", code_html(str(graph)))
    report.add("Reproduce", table_html({"what": k, "value": v} for k, v in environment(seed).items()))
    return report
