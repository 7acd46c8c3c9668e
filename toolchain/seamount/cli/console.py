"""What commands print: tables and text on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

WIDE = 240
"""Columns where the output is not a terminal, so that pipes and logs get whole lines."""


def _console(stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=WIDE)


def printable(text: object) -> str:
    """Return text without control characters: names come from files, and a terminal obeys escape sequences."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in str(text))


def say(text: object) -> None:
    """Print text as it is."""
    typer.echo(printable(text))


def fail(message: str) -> None:
    """Print an error."""
    console = _console(stderr=True)
    console.print(Text("error: ", "bold red") + Text(printable(message).replace("\n", "\n       ")), soft_wrap=True)


def table(rows: Sequence[Mapping[str, Any]], title: str = "") -> None:
    """Print rows under the headings that are their keys; numbers right-aligned, bool as yes or no."""
    headings = list(dict.fromkeys(key for row in rows for key in row))
    grid = Table(title=title and Text(printable(title)), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        numeric = all(row.get(heading) is None or _is_number(row[heading]) for row in rows)
        grid.add_column(Text(heading.replace("_", " ")), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(_cell(row.get(heading)) for heading in headings))
    _console().print(grid)


def print_json(value: object) -> None:
    """Print one JSON document; arrays become lists, NaN and infinity null."""
    typer.echo(json.dumps(_jsonable(value), indent=2, allow_nan=False))


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal that something is going on, and for how long."""
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    console = _console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(printable(what), total=None)
        yield


def _cell(value: object) -> Text:
    if isinstance(value, (bool, np.bool_)):
        return Text("yes", "green") if value else Text("no", "red")
    if value is None:
        return Text("-")
    if isinstance(value, Integral):
        return Text(f"{int(value):,}")
    if isinstance(value, Real):
        number = float(value)
        return Text(f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}")
    return Text(printable(value))


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _jsonable(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if isinstance(value, np.generic):
        return _jsonable(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, (bool, int, float, str)) or value is None else str(value)
