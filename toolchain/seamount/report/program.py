"""The report of one compiled program: what it is, what it uses of its target, how it behaved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from seamount import targets
from seamount.ir import Graph
from seamount.limits import Use, usage
from seamount.report.environment import environment
from seamount.report.html import Html, Report, code_html, figures_html, table_html, tag
from seamount.report.svg import raster_svg

if TYPE_CHECKING:
    from seamount.program import Program, Result


def program_report(
    program: Program, result: Result | None = None, spikes: np.ndarray | None = None, seed: int | None = None
) -> Report:
    """Describe a program and, where a result is given, the run that gave it.

    Args:
        program: any target's.
        result: of a run with `record=("spikes",)`, for rates and rasters.
        spikes: `[T, B, *shape]`, the input of that run.
        seed: of the run, to be printed with the versions.
    """
    graph = program.graph
    report = Report(graph.name, f"{graph.stage.capitalize()} graph compiled for {program.target}.")
    report.facts(_facts(graph, result))
    report.add("Graph", code_html(str(graph)))
    report.add("Populations", table_html(population_rows(graph, result)))
    report.add("Connections", table_html(connection_rows(graph)))
    if graph.stage == "integer":
        uses = usage(graph, targets.find(program.target).limits)
        report.add(f"Limits of {program.target}", "Nearest to its limit first.", table_html(_limit_rows(uses)))
    rasters = list(_rasters(graph, result, spikes))
    if rasters:
        report.add("Activity", "The first sample of the run.", figures_html(*rasters))
    report.add("Reproduce", table_html({"what": what, "value": value} for what, value in environment(seed).items()))
    return report


def population_rows(graph: Graph, result: Result | None = None) -> list[dict[str, object]]:
    """One row a population: type, neurons, what feeds it and, where recorded, its rate in percent of steps."""
    recorded = result.spikes if result is not None else {}
    rows: list[dict[str, object]] = []
    for node in graph.populations:
        row: dict[str, object] = {
            "population": node.name,
            "type": type(node).__name__,
            "neurons": node.size,
            "inputs": ", ".join(node.inputs),
        }
        if recorded:
            row["rate %"] = 100 * float(recorded[node.name].mean()) if node.name in recorded else None
        rows.append(row)
    return rows


def connection_rows(graph: Graph) -> list[dict[str, object]]:
    """One row a connection: where from, where to, its size and delay."""
    return [
        {
            "connection": node.name,
            "from": graph.source(node).name,
            "to": graph.target(node).name,
            "weight": str(list(node.weight.shape)),
            "synapses": graph.synapses(node),
            "delay": node.delay,
        }
        for node in graph.connections
    ]


def _facts(graph: Graph, result: Result | None) -> dict[str, object]:
    facts: dict[str, object] = {
        "populations": len(graph.populations),
        "neurons": sum(node.size for node in graph.populations),
        "synapses": sum(map(graph.synapses, graph.connections)),
    }
    if result is not None:
        steps, batch = result.output.shape[:2]
        facts |= {"steps": steps, "samples": batch, "seconds": round(result.seconds, 3)}
    return facts


def _limit_rows(uses: list[Use]) -> list[dict[str, object]]:
    return [
        {
            "node": use.node,
            "parameter": use.what,
            "used": use.used,
            "allowed": f"{use.allowed[0]}..{use.allowed[1]}",
            "share": _meter(use.share),
        }
        for use in sorted(uses, key=lambda use: -use.share)
    ]


def _meter(share: float) -> Html:
    bar = tag("span", style=f"width:{100 * min(share, 1):.0f}%")
    return Html(f"{tag('span', bar, class_='meter over' if share > 1 else 'meter')} {100 * share:.0f} %")


def _rasters(graph: Graph, result: Result | None, spikes: np.ndarray | None) -> Iterable[Html]:
    named = {} if spikes is None else {graph.input.name: np.asarray(spikes)}
    named |= result.spikes if result is not None else {}
    for name, value in named.items():
        yield raster_svg(value[:, 0].reshape(len(value), -1), name)
