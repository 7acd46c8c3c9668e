"""`seamount study gradients | online`: online learning rules compared, as pages and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from seamount.cli import options
from seamount.cli.console import print_json, say, table, working
from seamount.cli.spikes import models_module
from seamount.report import Report, environment, figures_html, line_svg, table_html

app = typer.Typer(no_args_is_help=True, help="Compare online learning rules with backpropagation through time.")

Out = Annotated[Path, typer.Option("--out", "-o", help="Where the HTML page goes.")]
Variants = Annotated[list[str], typer.Option("--variant", help="Of Randman: time, rate; may be given twice.")]
Betas = Annotated[list[float], typer.Option("--beta", help="Retention of v; may be given several times.")]
Seeds = Annotated[int, typer.Option(min=1, help="Data sets, networks and orders to average over.")]
Batches = Annotated[int, typer.Option(min=1, help="Batches of 128 samples to train with.")]
Samples = Annotated[int, typer.Option(min=128, help="Of the training split.")]
Rate = Annotated[float, typer.Option(help="Step size of Adamax.")]
Threads = Annotated[int, typer.Option(min=1, help="Of torch. The operations are short: 1 is fastest on most machines.")]
Every = Annotated[int, typer.Option(min=1, help="Batches from one measurement to the next.")]


@app.command()
def gradients(
    out: Out = Path("gradients.html"),
    variant: Variants = ["time", "rate"],  # noqa: B006
    beta: Betas = [0.9],  # noqa: B006
    seeds: Seeds = 4,
    batches: Batches = 160,
    samples: Samples = 5000,
    lr: Rate = 2e-3,
    every: Every = 53,
    threads: Threads = 1,
    as_json: options.AsJson = False,
) -> None:
    """Cosine similarity of each rule's gradient to BPTT's, by connection and over training."""
    study = _study(threads)
    settings = _settings(study, variant, beta, batches=batches, samples=samples, lr=lr)
    with working("comparing gradients"):
        rows = list(study.gradients(settings, range(seeds), every=every))
    by = ["variant", "beta", "connection", "rule"]
    means = study.table(rows, "cosine", by)
    curves = study.table(rows, "cosine", [*by[:3], "batch", "rule"])
    _finish(out, "Gradients of online rules", "cosine", "batch", means, curves, by[:3], rows, as_json)


@app.command()
def online(
    out: Out = Path("online.html"),
    variant: Variants = ["time", "rate"],  # noqa: B006
    beta: Betas = [0.9],  # noqa: B006
    rule: Annotated[list[str] | None, typer.Option("--rule", help="Default: all.", show_default=False)] = None,
    seeds: Seeds = 4,
    batches: Batches = 160,
    samples: Samples = 5000,
    lr: Rate = 2e-3,
    every: Every = 40,
    threads: Threads = 1,
    as_json: options.AsJson = False,
) -> None:
    """Accuracy of networks trained with each rule, from the same weights on the same batches."""
    study = _study(threads)
    settings = _settings(study, variant, beta, batches=batches, samples=samples, lr=lr)
    with working("training"):
        rows = list(study.accuracies(settings, range(seeds), every=every, rules=rule or list(study.RULES)))
    by = ["variant", "beta", "rule"]
    means = study.table([row for row in rows if row["batch"] == batches], "accuracy", by)
    curves = study.table(rows, "accuracy", [*by[:2], "batch", "rule"])
    _finish(out, "Accuracy of online rules", "accuracy", "batch", means, curves, by[:2], rows, as_json)


def _study(threads: int) -> Any:
    import torch  # slow to import, and not what most commands need

    torch.set_num_threads(threads)
    return models_module("online.study")


def _settings(study: Any, variants: Sequence[str], betas: Sequence[float], **given: Any) -> list[Any]:
    return [study.Setting(variant=variant, beta=beta, **given) for beta in betas for variant in variants]


def _finish(
    out: Path, title: str, value: str, x: str, means: list[dict[str, Any]], curves: list[dict[str, Any]],
    groups: Sequence[str], rows: list[dict[str, Any]], as_json: bool,
) -> None:  # fmt: skip
    """Write the page, and print what it is about."""
    figures: dict[tuple, dict[str, list[float]]] = {}
    for row in curves:
        series = figures.setdefault(tuple(row[name] for name in groups), {})
        series.setdefault(row["rule"], []).append(row[value])
    xs = sorted({row[x] for row in curves})
    drawn = [
        line_svg(series, ", ".join(f"{k} {v}" for k, v in zip(groups, key, strict=True)), xs, x, value, _range(value))
        for key, series in figures.items()
    ]
    settings = {name: rows[0][name] for name in ("hidden", "slope", "alpha", "steps", "samples", "batch_size", "lr")}
    page = Report(title, "Randman as in arXiv:2311.16151; means and standard deviations over seeds.")
    page.add("Means", table_html(means)).add("Over training", figures_html(*drawn))
    page.add("Measured with", table_html([settings | {"batches": rows[0]["batches"]}]), table_html([environment()]))
    page.save(out)
    if as_json:
        print_json({"means": means, "rows": rows, "out": out})
        return
    table(means)
    say(f"wrote {out}")


def _range(value: str) -> tuple[float, float]:
    return (-0.2, 1.0) if value == "cosine" else (0.0, 1.0)
