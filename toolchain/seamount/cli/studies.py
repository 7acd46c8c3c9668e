"""`seamount study gradients | online`: online learning rules compared, as pages and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from seamount.cli import options
from seamount.cli.console import print_json, say, table, working
from seamount.cli.spikes import models_module
from seamount.report import Html, Report, environment, figures_html, line_svg, plane_svg, table_html

app = typer.Typer(no_args_is_help=True, help="Compare online learning rules with backpropagation through time.")

SEEDS = "Means and standard deviations over seeds."
Limits = tuple[float, float]
Out = Annotated[Path, typer.Option("--out", "-o", help="Where the HTML page goes.")]
Variants = Annotated[list[str], typer.Option("--variant", help="Of Randman: time, rate; may be given twice.")]
Betas = Annotated[list[float], typer.Option("--beta", help="Retention of v; may be given several times.")]
Rules = Annotated[
    list[str] | None,
    typer.Option("--rule", help="May be given several times; default: all of BPTT's loss.", show_default=False),
]
Seeds = Annotated[int, typer.Option(min=1, help="Data sets, networks and orders to average over.")]
Batches = Annotated[int, typer.Option(min=1, help="Batches of 128 samples to train with.")]
Samples = Annotated[int, typer.Option(min=128, help="Of the training split.")]
Rate = Annotated[float, typer.Option(min=0, help="Step size of Adamax.")]
Threads = Annotated[int, typer.Option(min=1, help="Of torch. The operations are short: 1 is fastest on most machines.")]
Keep = Annotated[
    Path | None, typer.Option(help="File that grows by the rows of each finished run; those it has are not repeated.")
]
Detach = Annotated[bool, typer.Option(help="Leave what a spike does to v out of every gradient, BPTT's too.")]
Every = Annotated[int, typer.Option(min=1, help="Batches from one measurement to the next.")]


@app.command()
def gradients(
    out: Out = Path("gradients.html"),
    variant: Variants = ["time", "rate"],  # noqa: B006
    beta: Betas = [0.9],  # noqa: B006
    seeds: Seeds = 4,
    batches: Batches = 160,
    samples: Samples = 20480,
    lr: Rate = 2e-3,
    every: Every = 53,
    detach_reset: Detach = False,
    keep: Keep = None,
    threads: Threads = 1,
    as_json: options.AsJson = False,
) -> None:
    """Cosine similarity of each rule's gradient to BPTT's, by connection and over training; means but for its start."""
    study = _study(threads)
    settings = _settings(study, variant, beta, batches=batches, samples=samples, lr=lr, detach_reset=detach_reset)
    with working("comparing gradients"):
        rows = list(study.gradients(settings, range(seeds), every=every, keep=keep))
    by = ["variant", "beta", "connection", "rule"]
    trained = [row for row in rows if row["batch"]] or rows  # before training, next to nothing fires at the output
    means = study.table(trained, "cosine", by)
    curves = _curves(study, rows, "cosine", by[:3], (-0.2, 1.0))
    sections = ("Means", table_html(means)), ("Over training", figures_html(*curves))
    _finish(_page("Gradients of online rules", SEEDS, rows, *sections), out, means, rows, as_json)


@app.command()
def online(
    out: Out = Path("online.html"),
    variant: Variants = ["time"],  # noqa: B006
    beta: Betas = [0.9],  # noqa: B006
    rule: Rules = None,
    seeds: Seeds = 2,
    batches: Batches = 160,
    samples: Samples = 20480,
    lr: Rate = 2e-3,
    every: Every = 40,
    detach_reset: Detach = False,
    immediate: Annotated[bool, typer.Option(help="Step the optimizer after every step of time; not BPTT.")] = False,
    keep: Keep = None,
    threads: Threads = 1,
    as_json: options.AsJson = False,
) -> None:
    """Accuracy of networks trained with each rule, from the same weights on the same batches.

    By default two to three minutes on one core, two thirds of them for OSTL and OTPE.
    """
    study = _study(threads)
    settings = _settings(study, variant, beta, batches=batches, samples=samples, lr=lr, detach_reset=detach_reset)
    rules = rule or [name for name in study.SAME_LOSS if not (immediate and name == "BPTT")]
    with working("training"):
        found = study.accuracies(settings, range(seeds), every=every, rules=rules, immediate=immediate, keep=keep)
        rows = list(found)
    by = ["variant", "beta", "rule"]
    means = study.table([row for row in rows if row["batch"] == batches], "accuracy", by)
    exact = {(row["variant"], row["beta"]): row["accuracy"] for row in means if row["rule"] == "BPTT"}
    for row in means:
        if base := exact.get((row["variant"], row["beta"])):
            row["to BPTT"] = round(row["accuracy"] - base, 4)
    curves = _curves(study, rows, "accuracy", by[:2], (0.0, 1.0))
    sections = ("Means", table_html(means)), ("Over training", figures_html(*curves))
    lead = SEEDS + " The optimizer steps after every step of time." * immediate
    _finish(_page("Accuracy of online rules", lead, rows, *sections), out, means, rows, as_json)


@app.command()
def landscape(
    out: Out = Path("landscape.html"),
    variant: Annotated[str, typer.Option(help="Of Randman: time, rate.")] = "time",
    beta: Annotated[float, typer.Option(help="Retention of v.")] = 0.9,
    rule: Rules = None,
    seed: Annotated[int, typer.Option(help="Of data, network and order.")] = 0,
    batches: Batches = 160,
    samples: Samples = 20480,
    lr: Rate = 2e-3,
    every: Every = 20,
    grid: Annotated[int, typer.Option(min=2, help="Values of each coordinate of the plane.")] = 15,
    detach_reset: Detach = False,
    keep: Keep = None,
    threads: Threads = 1,
    as_json: options.AsJson = False,
) -> None:
    """The loss on a plane through the weights, and the way of each rule over it from the same start."""
    study = _study(threads)
    given = {"batches": batches, "samples": samples, "lr": lr, "detach_reset": detach_reset}
    (setting,) = _settings(study, [variant], [beta], **given)
    measure = models_module("online.landscape").landscape
    with working("training, and measuring the loss around"):
        rows = list(measure(setting, seed, every=every, rules=rule or study.SAME_LOSS, grid=grid, keep=keep))
    ways = [row for row in rows if row["rule"] is not None]
    ends = [
        {k: row[k] for k in ("rule", "x", "y", "loss", "loss_off", "apart")} for row in ways if row["batch"] == batches
    ]
    plane = [row for row in rows if row["rule"] is None]
    xs, ys = (sorted({row[axis] for row in plane}) for axis in ("x", "y"))
    values = [row["loss"] for row in plane]
    paths: dict[str, list[tuple[float, float]]] = {}
    for row in ways:
        paths.setdefault(row["rule"], []).append((row["x"], row["y"]))
    drawn = plane_svg(
        [values[i : i + len(xs)] for i in range(0, len(values), len(xs))], xs, ys, paths, f"{variant}, beta {beta}",
        f"first principal component; loss {min(values):.3g} (light) to {max(values):.3g}", "second",
    )  # fmt: skip
    lead = f"The plane has {100 * ways[0]['share']:.0f} % of the squared movement of the weights."
    page = _page(
        "Ways of online rules over the loss", lead, rows, ("Ends", table_html(ends)), ("Plane", figures_html(drawn))
    )
    _finish(page, out, ends, rows, as_json)


def _study(threads: int) -> Any:
    import torch  # slow to import, and not what most commands need

    torch.set_num_threads(threads)
    return models_module("online.study")


def _settings(study: Any, variants: Sequence[str], betas: Sequence[float], **given: Any) -> list[Any]:
    return [study.Setting(variant=variant, beta=beta, **given) for beta in betas for variant in variants]


def _curves(study: Any, rows: list[dict[str, Any]], value: str, groups: Sequence[str], limits: Limits) -> list[Html]:
    """A figure for each combination of `groups`: means over seeds by batch, with one standard deviation around."""
    figures: dict[tuple, dict[str, list[dict[str, Any]]]] = {}
    for row in study.table(rows, value, [*groups, "batch", "rule"]):
        figures.setdefault(tuple(row[name] for name in groups), {}).setdefault(row["rule"], []).append(row)
    xs = sorted({row["batch"] for row in rows})
    drawn = []
    for key, series in figures.items():
        title = ", ".join(f"beta {v}" if k == "beta" else str(v) for k, v in zip(groups, key, strict=True))
        means, bands = ({r: [row[c] for row in found] for r, found in series.items()} for c in (value, "deviation"))
        drawn.append(line_svg(means, title, xs, "batch", value, limits, bands))
    return drawn


def _page(title: str, lead: str, rows: list[dict[str, Any]], *sections: tuple[str, Html]) -> Report:
    names = ("hidden", "slope", "alpha", "steps", "samples", "batch_size", "lr", "batches", "detach_reset")
    page = Report(title, f"Randman as in arXiv:2311.16151. {lead}")
    for section in sections:
        page.add(*section)
    return page.add("Measured with", table_html([{name: rows[0][name] for name in names}]), table_html([environment()]))


def _finish(page: Report, out: Path, means: list[dict[str, Any]], rows: list[dict[str, Any]], as_json: bool) -> None:
    """Write the page, and print what it is about."""
    page.save(out)
    if as_json:
        print_json({"means": means, "rows": rows, "out": out})
        return
    table(means)
    say(f"wrote {out}")
