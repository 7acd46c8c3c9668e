"""Commands that run a graph: `run`, `verify`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

import seamount as sm
from seamount.cli import options, spikes
from seamount.cli.console import fail, print_json, say, table, working
from seamount.errors import TargetError

if TYPE_CHECKING:
    from seamount.program import Result


def run(
    file: options.GraphFile,
    target: options.TargetName = "reference",
    spikes_file: options.SpikeFile = None,
    data: options.DataName = None,
    random: options.Random = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Save output (and what is recorded) as .npz.", show_default=False),
    ] = None,
    record: Annotated[
        list[str] | None,
        typer.Option(help="spikes or v: keep those of every population; may be repeated.", show_default=False),
    ] = None,
    steps: options.Steps = 16,
    samples: options.Samples = 8,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """Run a graph on a target."""
    if out is not None and out.suffix != ".npz":
        raise typer.BadParameter(f"{out}: the output is written as .npz.")
    if record and out is None:
        raise typer.BadParameter("--record needs --out.")
    graph = sm.load(file)
    x = spikes.required(spikes.choose(graph, spikes_file, data, random, steps, samples, seed))
    program = sm.compile(graph, target=target)
    with working(f"running on {target}"):
        result = program.run(x, record=record or ())
    if out is not None:
        _save(result, out)
    length, batch = result.output.shape[:2]
    summary = {
        "target": target,
        "steps": length,
        "samples": batch,
        "seconds": result.seconds,
        "sample_steps_per_second": length * batch / max(result.seconds, 1e-9),
        "mean_output": float(result.output.mean()),
    }
    if as_json:
        print_json(summary | {"counts": result.counts.reshape(batch, -1), "out": out})
        return
    table([summary])
    if out is not None:
        say(f"wrote {out}")


def verify(
    file: options.GraphFile,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            help="May be repeated; the first is the witness. Default: all.",
            show_default=False,
        ),
    ] = None,
    spikes_file: options.SpikeFile = None,
    data: options.DataName = None,
    random: options.Random = False,
    steps: options.Steps = 16,
    samples: options.Samples = 8,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """Compare targets spike for spike and v for v; exit 1 where they differ."""
    graph = sm.load(file)
    x = spikes.required(spikes.choose(graph, spikes_file, data, random, steps, samples, seed))
    names = target or _able()
    with working(f"verifying on {', '.join(names)}"):
        report = sm.verify(graph, names, x)
    if as_json:
        print_json(report.to_dict())
    else:
        table(report.to_dict()["rows"])
        if report.divergence is not None:
            fail(str(report.divergence))
    if not report.ok:
        raise typer.Exit(1)


def _able() -> list[str]:
    """The installed targets with an integer stage, the reference first."""
    found = []
    for name in sm.targets.names():
        try:
            stages = sm.targets.find(name).stages
        except TargetError:
            continue
        if "integer" in stages:
            found.append(name)
    return sorted(found, key=lambda name: (name != "reference", name))


def _save(result: Result, path: Path) -> None:
    """Write `output`, `counts`, and `spikes/NAME` and `v/NAME` of every recorded population."""
    from seamount.interchange.files import write_whole

    arrays: dict[str, np.ndarray] = {"output": result.output, "counts": result.counts}
    arrays |= {f"spikes/{name}": value for name, value in result.spikes.items()}
    arrays |= {f"v/{name}": value for name, value in result.v.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_whole(path, buffer.getvalue())
