"""Commands about graphs and targets: `targets`, `inspect`, `export`, `report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

import seamount as sm
from seamount.cli import options, spikes
from seamount.cli.console import print_json, say, table, working
from seamount.errors import ResourceError, TargetError, UnsupportedNodeError

if TYPE_CHECKING:
    from seamount.limits import Use


def targets(as_json: options.AsJson = False) -> None:
    """List where a graph can run."""
    rows = [_target_row(name) for name in sm.targets.names()]
    if as_json:
        print_json(rows)
        return
    table([{**row, "stages": ", ".join(row["stages"])} for row in rows])


def _target_row(name: str) -> dict[str, Any]:
    try:
        found = sm.targets.find(name)
    except TargetError as error:
        return {"name": name, "installed": False, "stages": [], "learns": False, "summary": str(error)}
    return {
        "name": name,
        "installed": True,
        "stages": list(found.stages),
        "learns": found.learns,
        "summary": found.summary,
    }


def inspect(
    file: options.GraphFile,
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", help="Show what is used of its limits; exit 1 if too much.", show_default=False),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Show a graph: its nodes and parameters, and what it uses of a target's limits."""
    graph = sm.load(file)
    uses, problems = _fit(graph, target) if target else ([], [])
    if as_json:
        print_json(
            _graph_json(graph)
            | ({"target": target, "limits": _uses_json(uses), "problems": problems} if target else {})
        )
    else:
        say(graph)
        neurons = sum(node.size for node in graph.populations)
        synapses = sum(map(graph.synapses, graph.connections))
        say(f"{len(graph.populations)} populations, {neurons:,} neurons, {synapses:,} synapses")
        if uses:
            table([_use_row(use) for use in uses], title=f"limits of {target}")
        for problem in problems:
            say(f"does not fit {target}: {problem}")
    if problems:
        raise typer.Exit(1)


def export(
    file: options.GraphFile,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where to; the suffix names the format.", show_default=False)
    ],
    form: Annotated[
        Literal["scan", "step"],
        typer.Option(help="scan: whole sequences [T, B, ...]. step: one step, with the state in and out."),
    ] = "scan",
) -> None:
    """Write a graph to a file that other tools read, such as ONNX."""
    sm.save(sm.load(file), out, form=form)
    say(f"wrote {out}")


def report(
    file: options.GraphFile,
    target: options.TargetName = "reference",
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to.")] = Path("report.html"),
    spikes_file: options.SpikeFile = None,
    data: options.DataName = None,
    random: options.Random = False,
    steps: options.Steps = 16,
    samples: options.Samples = 8,
    seed: options.Seed = 0,
) -> None:
    """Write an HTML report of a graph on a target; with input also what it does there."""
    from seamount.report import program_report

    graph = sm.load(file)
    program = sm.compile(graph, target=target)
    x = spikes.choose(graph, spikes_file, data, random, steps, samples, seed)
    with working(f"running on {target}"):
        result = None if x is None else program.run(x, record=("spikes",))
    program_report(program, result, x, seed=None if x is None or spikes_file else seed).save(out)
    say(f"wrote {out}")


def _fit(graph: sm.Graph, name: str) -> tuple[list[Use], list[str]]:
    """What the graph uses of a target's limits, and everything that keeps it from running there."""
    from seamount.limits import usage

    target = sm.targets.find(name)
    uses = usage(graph, target.limits) if graph.stage == "integer" else []
    try:
        target.check(graph)
    except (UnsupportedNodeError, ResourceError) as error:
        return uses, str(error).splitlines()
    return uses, []


def _use_row(use: Use) -> dict[str, object]:
    return {
        "node": use.node,
        "parameter": use.what,
        "used": use.used,
        "allowed": f"{use.allowed[0]}..{use.allowed[1]}",
        "share": f"{100 * use.share:.0f} %",
        "fits": use.fits,
    }


def _uses_json(uses: list[Use]) -> list[dict[str, object]]:
    """Used and allowed range of each parameter, as pairs."""
    return [
        {"node": use.node, "parameter": use.what, "used": [use.low, use.high], "allowed": use.allowed, "fits": use.fits}
        for use in uses
    ]


def _graph_json(graph: sm.Graph) -> dict[str, object]:
    nodes = [
        {
            "name": node.name,
            "type": type(node).__name__,
            "inputs": node.inputs,
            "parameters": {name: _summary(value) for name, value in node.parameters().items()},
        }
        for node in graph.order
    ]
    return {"name": graph.name, "stage": graph.stage, "nodes": nodes}


def _summary(value: object) -> object:
    """A scalar as it is, an array as its dtype, shape and range."""
    if not isinstance(value, np.ndarray) or value.ndim == 0:
        return value
    return {"dtype": str(value.dtype), "shape": value.shape, "min": value.min(), "max": value.max()}
