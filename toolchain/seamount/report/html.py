"""Building blocks of a report: escaped text, tables, figures, and the page that holds them.

Names of nodes and networks come from files, so everything is escaped unless it is `Html`, which only the functions of
this package make.
"""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Iterable, Mapping
from importlib import resources
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from seamount.interchange.files import write_whole


class Html(str):
    """Markup that is safe to insert as it is."""


def escape(value: object) -> Html:
    """Return text with `& < > " '` escaped; `Html` unchanged."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def tag(name: str, *content: object, **attributes: object) -> Html:
    """Return `<name attributes>content</name>`, everything escaped.

    A trailing `_` of an attribute is dropped (`class_`), others become hyphens (`stroke_width`).

    Example:
        >>> tag("td", "a < b", class_="number")
        '<td class="number">a &lt; b</td>'
    """
    attrs = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{attrs}>{''.join(map(escape, content))}</{name}>")


def badge(ok: bool, text: str = "") -> Html:
    """Return a green tick or a red cross, with a word next to it."""
    return tag("span", f"{'✓' if ok else '✗'} {text}".strip(), class_=f"badge {'good' if ok else 'bad'}")


def code_html(text: str) -> Html:
    """Return preformatted text, such as a graph's text form or a command."""
    return tag("pre", tag("code", text))


def figures_html(*figures: Html) -> Html:
    """Return figures (SVG) side by side, or below each other where the page is narrow."""
    return tag("div", *(tag("figure", figure) for figure in figures), class_="figures")


def table_html(rows: Iterable[Mapping[str, Any] | Any], caption: str = "") -> Html:
    """Return a table.

    Args:
        rows: mappings from heading to value, or dataclass instances, whose field names become the headings. Numbers are
            set right-aligned, None as a dash, bool as a badge, `Html` as it is.
        caption: a sentence above the table.

    Example:
        >>> "1,234" in table_html([{"target": "lava", "spikes": 1234}])
        True
    """
    mappings: list[Mapping[str, Any]] = [_fields(row) for row in rows]
    headings = list(dict.fromkeys(key for row in mappings for key in row))
    numeric = {h for h in headings if all(_is_number(row.get(h)) for row in mappings)}
    body = [
        tag("tr", *(tag("td", format_value(row.get(h)), **_align(h in numeric)) for h in headings)) for row in mappings
    ]
    head = tag("tr", *(tag("th", h.replace("_", " "), **_align(h in numeric), scope="col") for h in headings))
    title = [tag("caption", caption)] if caption else []
    return tag("div", tag("table", *title, tag("thead", head), tag("tbody", *body)), class_="scroll")


def format_value(value: object) -> Html:
    """Return a value as it stands in tables: `1,234`, `0.1235`, a dash for None or NaN, a badge for bool."""
    if isinstance(value, (bool, np.bool_)):
        return badge(bool(value))
    if value is None or (isinstance(value, Real) and math.isnan(value)):
        return Html("&ndash;")
    if isinstance(value, Integral):
        return escape(f"{int(value):,}")
    if isinstance(value, Real):
        number = float(value)
        return escape(f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}")
    return escape(value)


class Report:
    """A page of sections.

    Args:
        title: heading of the page.
        subtitle: a sentence below it.

    Example:
        >>> page = Report("Two layers").add("Result", "All spikes are equal.", table_html([{"spikes": 12}]))
        >>> "All spikes are equal." in page.html()
        True
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title, self.subtitle = title, subtitle
        self._sections: list[Html] = []

    def facts(self, facts: Mapping[str, object]) -> Report:
        """Add a row of headline figures, `{what: value}`."""
        cards = [tag("div", tag("dt", what), tag("dd", format_value(value))) for what, value in facts.items()]
        self._sections.append(tag("dl", *cards, class_="facts"))
        return self

    def add(self, heading: str, *parts: str) -> Report:
        """Add a section; plain strings become paragraphs, `Html` stays as it is."""
        content = [part if isinstance(part, Html) else tag("p", part) for part in parts]
        self._sections.append(tag("section", tag("h2", heading), *content))
        return self

    def html(self) -> str:
        """Return the whole page."""
        style = resources.files("seamount.report").joinpath("style.css").read_text(encoding="utf-8")
        subtitle = [tag("p", self.subtitle, class_="subtitle")] if self.subtitle else []
        head = Html(
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            + tag("title", self.title)
            + f"<style>\n{style}</style>"
        )
        body = tag("body", tag("main", tag("header", tag("h1", self.title), *subtitle), *self._sections))
        return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n{body}</html>\n'

    def save(self, path: str | Path) -> Path:
        """Write the page to a file and return its path.

        Raises:
            FileFormatError: the file cannot be written.
        """
        write_whole(path, self.html().encode())
        return Path(path)


def _fields(row: object) -> Mapping[str, Any]:
    if isinstance(row, Mapping):
        return row
    return {f.name: getattr(row, f.name) for f in dataclasses.fields(row)}  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


def _align(numeric: bool) -> dict[str, str]:
    return {"class_": "number"} if numeric else {}
