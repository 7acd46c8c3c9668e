"""`seamount study memory`: peak memory of learning against the number of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seamount.cli import options
from seamount.cli.console import print_json, say, table, working
from seamount.cli.spikes import models_module
from seamount.errors import DataError
from seamount.report import Report, environment, figures_html, line_svg, table_html


def memory(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the HTML page goes.")] = Path("memory.html"),
    net: Annotated[list[str], typer.Option("--net", help="mlp, vgg; may be given twice.")] = ["mlp"],  # noqa: B006
    rule: Annotated[list[str] | None, typer.Option("--rule", help="Default: all.", show_default=False)] = None,
    steps: Annotated[list[int], typer.Option("--steps", min=1, help="Lengths T.")] = [10, 50, 200],  # noqa: B006
    as_json: options.AsJson = False,
) -> None:
    """Peak memory of learning with each rule against T, each measured in a process of its own."""
    study = models_module("online.memory")
    rules, lengths = rule or list(study.RULES), sorted(set(steps))
    for given, known in ((net, study.LOADS), (rules, study.RULES)):
        if unknown := [name for name in given if name not in known]:
            raise DataError(f"study memory: {', '.join(unknown)} (allowed {', '.join(known)}).")
    with working("measuring"):
        rows = list(study.peaks(net, rules, lengths))
    first = {(row["net"], row["rule"]): row["mib"] for row in rows if row["steps"] == lengths[0]}
    means = [row | {"of the shortest": _ratio(row["mib"], first[row["net"], row["rule"]])} for row in rows]
    drawn = [
        line_svg(
            {r: [row["mib"] for row in rows if (row["net"], row["rule"]) == (name, r)] for r in rules},
            name, lengths, "steps T", "MiB", (0.0, max(row["mib"] or 0.0 for row in rows if row["net"] == name) or 1.0),
        )
        for name in net
    ]  # fmt: skip
    page = Report("Memory of online rules", "Highest resident size above that after import and build, in MiB.")
    page.add("Against T", figures_html(*drawn)).add("Figures", table_html(means))
    page.add("Measured with", table_html([environment()])).save(out)
    if as_json:
        print_json({"rows": means, "out": out})
        return
    table(means)
    say(f"wrote {out}")


def _ratio(mib: float | None, first: float | None) -> float | None:
    return None if mib is None or first is None else round(mib / first, 3)
