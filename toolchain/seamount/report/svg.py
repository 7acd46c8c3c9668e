"""Inline SVG figures: spike rasters, lines, planes, bars.

Colours are CSS variables with a fallback, so that a figure follows the page into dark mode and still stands alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from seamount.errors import DataError
from seamount.report.html import Html, tag

WIDTH = 480
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 30, 38
MAX_MARKS = 3000
"""A raster with more spikes than this is drawn as a grid of shares, so that the file stays small."""
GRID = (96, 48)
"""Largest such grid: steps, neurons."""
MAX_POINTS = 600
"""A longer line is thinned evenly to this many points."""
SHADES = 8
"""Of a plane."""
COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2")


def raster_svg(spikes, title: str, x_label: str = "step", y_label: str = "neuron") -> Html:
    """Draw a spike raster, neuron 0 at the bottom.

    Args:
        spikes: `[T, N]`; every value but 0 is a spike. Up to `MAX_MARKS` spikes are drawn one by one; beyond that cells
            of several steps and neurons are shaded by the share of spikes in them.
        title: above the figure.
        x_label, y_label: of the axes.
    """
    s = np.asarray(spikes) != 0
    if s.ndim != 2 or 0 in s.shape:
        raise DataError(f"{title}: a raster needs spikes [T, N], got shape {list(s.shape)}.")
    steps, neurons = s.shape
    height = float(np.clip(6 * neurons, 60, 220))
    count = int(s.sum())
    note = f"{count:,} spikes, {100 * s.mean():.1f} %"
    if count <= MAX_MARKS:
        marks = _marks(s, height)
    else:
        marks, cell = _cells(s, height)
        note += f"; a cell is {cell[0]} by {cell[1]}"
    axes = _axes((0, steps), (0, neurons), height, x_label, y_label)
    return _svg(title, note, height, axes, marks)


def line_svg(
    series: Mapping[str, Sequence[float]],
    title: str,
    x: Sequence[float] | None = None,
    x_label: str = "",
    y_label: str = "",
    y_range: tuple[float, float] | None = None,
    bands: Mapping[str, Sequence[float]] | None = None,
) -> Html:
    """Draw lines over one x axis.

    Args:
        series: y values by name; values that are not finite leave a gap.
        title: above the figure.
        x: x values of all series; default 0, 1, 2 ...
        x_label, y_label: of the axes.
        y_range: limits of the y axis; default what the values need.
        bands: by name, how far the shade around a line reaches above and below it, as one standard deviation.
    """
    ys = {name: np.asarray(values, np.float64) for name, values in series.items()}
    length = max((len(y) for y in ys.values()), default=0)
    xs = np.arange(length) if x is None else np.asarray(x, np.float64)
    finite = np.concatenate([y[np.isfinite(y)] for y in ys.values()] or [np.zeros(0)])
    if not finite.size or len(xs) < length:
        raise DataError(f"{title}: a line needs at least one finite value and an x for each (got {len(xs)} x).")
    x_span = _span(xs[:length])
    y_span = y_range or _span(finite)
    height = 200.0
    reach = {name: np.asarray(values, np.float64) for name, values in (bands or {}).items()}
    lines = [
        _band(xs, ys[n], r, x_span, y_span, height, i) for i, n in enumerate(ys) if (r := reach.get(n)) is not None
    ]
    lines += [_line(xs, y, x_span, y_span, height, i) for i, y in enumerate(ys.values())]
    axes = _axes(x_span, y_span, height, x_label, y_label)
    return _svg(title, "", height, axes, *lines, _legend(list(ys)) if len(ys) > 1 else "")


def plane_svg(
    values,
    x: Sequence[float],
    y: Sequence[float],
    paths: Mapping[str, Sequence[tuple[float, float]]],
    title: str,
    x_label: str = "",
    y_label: str = "",
) -> Html:
    """Draw a function of two variables in shades, the darker the larger, and paths over it.

    Args:
        values: `[len(y), len(x)]`, finite.
        x, y: where they were taken, ascending and evenly spaced; 2 or more each.
        paths: points `(x, y)` by name.
        title: above the figure.
        x_label, y_label: of the axes.
    """
    z = np.asarray(values, np.float64)
    if z.shape != (len(y), len(x)) or min(z.shape) < 2 or not np.isfinite(z).all():
        raise DataError(f"{title}: a plane needs finite values [y, x] of 2 or more each, got shape {list(z.shape)}.")
    height = 300.0
    px, py = (np.asarray(a, np.float64) for a in (x, y))
    dx, dy = (px[1] - px[0]) / 2, (py[1] - py[0]) / 2
    x_span, y_span = (px[0] - dx, px[-1] + dx), (py[0] - dy, py[-1] + dy)
    level = np.ceil(SHADES * (z - z.min()) / (np.ptp(z) or 1.0)).astype(int)
    cells = []
    for shade in range(1, SHADES + 1):
        d = "".join(
            f"M{_n(_x(px[j] - dx, x_span))} {_n(_y(py[i] - dy, y_span, height))}H{_n(_x(px[j] + dx, x_span))}"
            f"V{_n(_y(py[i] + dy, y_span, height))}H{_n(_x(px[j] - dx, x_span))}z"
            for i, j in np.argwhere(level == shade)
        )
        if d:
            cells.append(tag("path", d=d, class_="plane", fill="currentColor", fill_opacity=0.5 * shade / SHADES))
    axes = _axes(x_span, y_span, height, x_label, y_label)
    points = [np.asarray(path, np.float64) for path in paths.values()]
    lines = [_line(p[:, 0], p[:, 1], x_span, y_span, height, k) for k, p in enumerate(points)]
    return _svg(title, "", height, *cells, axes, *lines, _legend(list(paths)))


def bar_svg(values: Mapping[str, float], title: str, unit: str = "") -> Html:
    """Draw horizontal bars from zero, each with its label above and its value next to it."""
    if not values or not all(math.isfinite(v) and v >= 0 for v in values.values()):
        raise DataError(f"{title}: bars need at least one value, finite and not negative.")
    longest = max(values.values()) or 1.0
    row, room = 36, WIDTH - 130
    bars = []
    for i, (label, value) in enumerate(values.items()):
        y = TOP + i * row
        width = room * value / longest
        bars += [
            tag("text", _short(label, 60), x=4, y=y + 12, class_="label"),
            tag("rect", x=4, y=y + 17, width=_n(max(width, 1)), height=11, rx=2, class_="bar", fill=_colour(0)),
            tag("text", f"{_number(value)} {unit}".strip(), x=_n(width + 12), y=y + 27, class_="tick"),
        ]
    return _svg(title, "", len(values) * row - BOTTOM + 6, *bars)


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten apart) within `low..high`, about `count` of them.

    Example:
        >>> nice_ticks(0, 64)
        [0.0, 20.0, 40.0, 60.0]
    """
    raw = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _marks(s: np.ndarray, height: float) -> Html:
    """One stroke a spike, all in one path."""
    dx, dy = _plot_width() / s.shape[0], height / s.shape[1]
    strokes = "".join(
        f"M{_n(LEFT + (t + 0.5) * dx)} {_n(TOP + height - (i + 0.9) * dy)}v{_n(max(0.8 * dy, 1))}"
        for t, i in np.argwhere(s)
    )
    return tag("path", d=strokes, class_="spikes", stroke=_colour(0), stroke_width=_n(np.clip(0.5 * dx, 0.8, 3)))


def _cells(s: np.ndarray, height: float) -> tuple[Html, tuple[int, int]]:
    """Shares of spikes in cells of `(steps, neurons)`, in four shades of one path each."""
    nt, nn = (math.ceil(size / most) for size, most in zip(s.shape, GRID, strict=True))
    padded = np.pad(s.astype(np.float64), ((0, -s.shape[0] % nt), (0, -s.shape[1] % nn)))
    share = padded.reshape(padded.shape[0] // nt, nt, -1, nn).mean(axis=(1, 3))
    shade = np.ceil(4 * share / share.max()).astype(int)
    dx, dy = _plot_width() / s.shape[0] * nt, height / s.shape[1] * nn
    right, top = LEFT + _plot_width(), TOP
    paths = []
    for level in range(1, 5):
        d = "".join(
            f"M{_n(LEFT + t * dx)} {_n(max(TOP + height - (i + 1) * dy, top))}"
            f"H{_n(min(LEFT + (t + 1) * dx, right))}V{_n(TOP + height - i * dy)}H{_n(LEFT + t * dx)}z"
            for t, i in np.argwhere(shade == level)
        )
        if d:
            paths.append(tag("path", d=d, class_="cells", fill=_colour(0), fill_opacity=level / 4))
    return Html("".join(paths)), (nt, nn)


def _line(xs: np.ndarray, y: np.ndarray, x_span, y_span, height: float, index: int) -> Html:
    stride = math.ceil(len(y) / MAX_POINTS)
    d, gap = "", True
    for px, py in zip(xs[: len(y)][::stride], y[::stride], strict=True):
        if not math.isfinite(py):
            gap = True
            continue
        d += f"{'M' if gap else 'L'}{_n(_x(px, x_span))} {_n(_y(py, y_span, height))}"
        gap = False
    markers = [
        tag("circle", cx=_n(_x(px, x_span)), cy=_n(_y(py, y_span, height)), r=2.5, fill=_colour(index))
        for px, py in zip(xs[: len(y)], y, strict=True)
        if len(y) <= 30 and math.isfinite(py)
    ]
    return tag("g", tag("path", d=d, class_="line", stroke=_colour(index), fill="none"), *markers)


def _band(xs: np.ndarray, y: np.ndarray, reach: np.ndarray, x_span, y_span, height: float, index: int) -> Html:
    """The outline of what is within `reach` of a line, cut off at the limits of the axis."""
    seen = np.isfinite(y) & np.isfinite(reach)
    x, y, reach = xs[: len(y)][seen], y[seen], reach[seen]
    corners = zip([*x, *x[::-1]], np.clip([*(y + reach), *(y - reach)[::-1]], *y_span), strict=True)
    points = " ".join(f"{_n(_x(px, x_span))},{_n(_y(py, y_span, height))}" for px, py in corners)
    return tag("polygon", points=points, class_="band", fill=_colour(index), fill_opacity=0.15)


def _axes(x_span, y_span, height: float, x_label: str, y_label: str) -> Html:
    right, bottom = WIDTH - RIGHT, TOP + height
    parts = []
    for value in nice_ticks(*x_span):
        x = _n(_x(value, x_span))
        parts.append(tag("text", _number(value), x=x, y=_n(bottom + 15), class_="tick", text_anchor="middle"))
    for value in nice_ticks(*y_span, count=4 if height > 100 else 3):
        y = _y(value, y_span, height)
        parts.append(tag("path", d=f"M{LEFT} {_n(y)}H{right}", class_="grid"))
        parts.append(tag("text", _number(value), x=LEFT - 6, y=_n(y + 4), class_="tick", text_anchor="end"))
    middle = _n(TOP + height / 2)
    parts += [
        tag("path", d=f"M{LEFT} {TOP}V{_n(bottom)}H{right}", class_="axis", fill="none"),
        tag("text", x_label, x=_n((LEFT + right) / 2), y=_n(bottom + 32), class_="label", text_anchor="middle"),
        tag("text", y_label, transform=f"translate(12 {middle}) rotate(-90)", class_="label", text_anchor="middle"),
    ]
    return tag("g", *parts)


def _legend(names: list[str]) -> Html:
    """Names at the right end of the title's line, in the colours of their lines."""
    spans = [tag("tspan", f"  ● {_short(name, 18)}", fill=_colour(i)) for i, name in enumerate(names)]
    return tag("text", *spans, x=WIDTH - RIGHT, y=16, text_anchor="end", class_="legend", **{"xml:space": "preserve"})


def _svg(title: str, note: str, height: float, *content: object) -> Html:
    total = _n(TOP + height + BOTTOM)
    heading = [
        tag("title", f"{title}: {note}" if note else title),
        tag("text", _short(title, 28 if note else 56), x=4, y=16, class_="title"),
    ]
    if note:
        heading.append(tag("text", note, x=WIDTH - RIGHT, y=16, text_anchor="end", class_="note"))
    return tag("svg", *heading, *content, viewBox=f"0 0 {WIDTH} {total}", role="img")


def _plot_width() -> int:
    return WIDTH - LEFT - RIGHT


def _x(value: float, span) -> float:
    return LEFT + _plot_width() * (value - span[0]) / (span[1] - span[0])


def _y(value: float, span, height: float) -> float:
    return TOP + height * (1 - (value - span[0]) / (span[1] - span[0]))


def _span(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _colour(index: int) -> str:
    index %= len(COLOURS)
    return f"var(--c{index}, {COLOURS[index]})"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1000 else f"{value:.4g}"


def _n(value: float) -> str:
    """A coordinate with at most two decimals."""
    return f"{float(value):.2f}".rstrip("0").rstrip(".")
