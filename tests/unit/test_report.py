"""Reports are well-formed, self-contained, escape what files name, and draw exactly what they are given."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import pytest

from seamount import targets
from seamount.errors import DataError
from seamount.ir import Graph, Input, IntLinear, Output
from seamount.neurons import IntCubaLIF
from seamount.report import (
    Html,
    Report,
    badge,
    bar_svg,
    code_html,
    environment,
    figures_html,
    line_svg,
    plane_svg,
    program_report,
    raster_svg,
    table_html,
)
from seamount.report.svg import LEFT, MAX_MARKS, RIGHT, TOP, WIDTH, nice_ticks

EVIL = "<script>alert('1')</script>&\""
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Checker(HTMLParser):
    """Raises where tags do not nest; collects tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        self.text += data


def program(name: str = "net", population: str = "lif"):
    graph = Graph(
        [
            Input(name="input", shape=(2,)),
            IntLinear(name="fc", inputs=("input",), weight=np.array([[100, 0], [2, 100], [0, 4]])),
            IntCubaLIF(
                name=population, inputs=("fc",), shape=(3,), du=np.array(4095), dv=np.array(4095), vth=np.array(50)
            ),
            Output(name="output", inputs=(population,)),
        ],
        name,
    )
    return targets.find("reference").compile(graph)


def full_report() -> str:
    spikes = np.eye(4, dtype=np.uint8)
    return (
        Report(EVIL, EVIL)
        .facts({EVIL: EVIL, "spikes": 12345})
        .add(EVIL, EVIL, table_html([{EVIL: EVIL, "ok": badge(True, EVIL)}], caption=EVIL), code_html(EVIL))
        .add("Figures", figures_html(raster_svg(spikes, EVIL, EVIL, EVIL), bar_svg({EVIL: 1.0}, EVIL, EVIL)))
        .add("Lines", line_svg({EVIL: [1, 2], "b": [2, 1]}, EVIL, x_label=EVIL, y_label=EVIL))
        .html()
    )


def test_a_page_is_well_formed_and_escapes_every_text():
    page = Checker(full_report())
    assert "script" not in page.tags
    assert page.text.count(EVIL) >= 10


def test_a_page_loads_nothing_from_elsewhere():
    page = full_report()
    assert not re.search(r"https?:|//|@import|url\(", page)
    assert not {"src", "href", "srcset", "data"} & {name for name, _ in Checker(page).attributes}
    assert not {"link", "img", "iframe", "script", "object"} & set(Checker(page).tags)


def test_names_from_a_file_are_escaped_in_a_program_report():
    p = program(name=EVIL, population="<b>lif</b>")
    x = np.ones((5, 2, 2), np.uint8)
    page = Checker(program_report(p, p.run(x, record=("spikes",)), x, seed=3).html())
    assert not {"script", "b"} & set(page.tags)
    assert EVIL in page.text
    assert "<b>lif</b>" in page.text


def test_a_program_report_shows_counts_rates_and_limits():
    p = program()
    x = np.zeros((4, 1, 2), np.uint8)
    x[:, :, 0] = 1
    text = Checker(program_report(p, p.run(x, record=("spikes",)), x).html()).text
    assert str(p.graph) in text
    assert "neurons3" in text
    assert "synapses4" in text, "zero weights are no synapses"
    assert "rate %" in text
    assert "33.33" in text, "one of three neurons fires in every step"
    assert "weight0..100-32768..32768" in text, "what is used stands beside what is allowed"


def test_a_program_report_without_a_run_has_no_rates():
    text = Checker(program_report(program()).html()).text
    assert "rate %" not in text
    assert "Activity" not in text


def test_a_report_is_saved_as_it_is(tmp_path):
    report = Report("déjà vu").add("one", "two")
    assert report.save(tmp_path / "r.html").read_text(encoding="utf-8") == report.html()


def test_a_raster_has_one_mark_for_each_spike():
    spikes = np.random.default_rng(0).random((50, 40)) < 0.2
    path = re.search(r'<path d="([^"]*)" class="spikes"', raster_svg(spikes, "layer"))
    assert path
    assert path[1].count("M") == spikes.sum()


def test_a_small_raster_in_full():
    svg = raster_svg(np.array([[1, 0], [0, 0], [0, 1]]), "two neurons")
    # 420 of 480 units are 3 steps; 60 units are 2 neurons, neuron 0 at the bottom.
    assert 'viewBox="0 0 480 128"' in svg
    assert '<path d="M118 63v24M398 33v24" class="spikes" stroke="var(--c0, #2563eb)" stroke-width="3"></path>' in svg
    assert "<title>two neurons: 2 spikes, 33.3 %</title>" in svg


@pytest.mark.parametrize("shape", [(700, 1000), (3, 5000), (5000, 3), (97, 49)])
def test_a_dense_raster_stays_small_and_says_what_a_cell_is(shape):
    svg = raster_svg(np.ones(shape, np.uint8), "dense")
    assert shape[0] * shape[1] > MAX_MARKS
    assert "a cell is" in svg
    assert 'class="spikes"' not in svg
    assert len(svg) < 200_000
    Checker(svg)


def test_a_dense_raster_shades_by_the_share_of_spikes():
    spikes = np.zeros((192, 96), np.uint8)
    spikes[:96] = 1
    spikes[96:, ::4] = 1
    opacities = re.findall(r'fill-opacity="([\d.]+)"', raster_svg(spikes, "halves"))
    assert opacities == ["0.5", "1.0"], "a cell of 2 by 2 holds 1 of 4 or 2 of 4 spikes where not all"


def test_lines_leave_gaps_and_are_thinned():
    svg = line_svg({"a": [0, 1, float("nan"), 1, 0]}, "gap")
    path = re.search(r'<path d="([^"]*)" class="line"', svg)
    assert path
    assert path[1].count("M") == 2
    assert path[1].count("L") == 2
    assert svg.count("<circle") == 4
    assert len(line_svg({"long": list(range(100_000))}, "long")) < 20_000


@pytest.mark.parametrize("values", [[3.0], [5.0, 5.0, 5.0], [-1e-9, 1e12]])
def test_lines_of_any_span_are_drawn(values):
    assert "nan" not in line_svg({"y": values}, "span")


def test_a_band_reaches_as_far_as_it_says_and_ends_at_the_axis():
    svg = line_svg({"a": [0.0, 1.0], "b": [0.5, 0.5]}, "band", y_range=(0.0, 1.0), bands={"a": [0.25, 0.25]})
    bands = re.findall(r'<polygon points="([^"]*)"', svg)
    assert len(bands) == 1
    heights = [float(point.split(",")[1]) for point in bands[0].split()]
    assert heights == [TOP + 150, TOP, TOP + 50, TOP + 200], "0.25, 1 (cut off), 0.75, 0 (cut off) of 200 units"


def test_a_plane_shades_what_is_larger_and_draws_paths_to_scale():
    svg = plane_svg([[0, 1], [1, 8]], [0, 1], [0, 1], {"way": [(-0.5, -0.5), (1.5, 1.5)]}, "plane")
    shades = re.findall(r'd="([^"]*)" class="plane" fill="currentColor" fill-opacity="([^"]*)"', svg)
    assert [(d.count("M"), float(opacity)) for d, opacity in shades] == [(2, 0.5 / 8), (1, 0.5)]
    right, bottom = WIDTH - RIGHT, TOP + 300
    assert f'd="M{LEFT} {bottom}L{right} {TOP}" class="line"' in svg
    assert plane_svg(np.ones((2, 3)), [0, 1, 2], [0, 1], {}, "level").count('class="plane"') == 0


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plane_svg([[1, 2]], [0, 1], [0], {}, "thin"), r"thin: a plane needs finite values .* \[1, 2\]"),
        (lambda: plane_svg(np.full((2, 2), np.nan), [0, 1], [0, 1], {}, "nan"), "nan: a plane needs finite values"),
        (lambda: raster_svg(np.zeros(3), "flat"), r"flat: a raster needs spikes \[T, N\], got shape \[3\]"),
        (lambda: raster_svg(np.zeros((0, 3)), "none"), r"none: .* got shape \[0, 3\]"),
        (lambda: line_svg({}, "empty"), "empty: a line needs at least one finite value"),
        (lambda: line_svg({"y": [1, 2]}, "short", x=[0]), r"short: .* \(got 1 x\)"),
        (lambda: bar_svg({}, "empty"), "empty: bars need at least one value"),
        (lambda: bar_svg({"a": -1}, "minus"), "minus: bars need"),
    ],
)
def test_figures_say_what_they_cannot_draw(draw, message):
    with pytest.raises(DataError, match=message):
        draw()


def test_bars_are_in_proportion():
    widths = [float(w) for w in re.findall(r'<rect [^>]*width="([\d.]+)"', bar_svg({"a": 1, "b": 4}, "two"))]
    assert widths[1] == 4 * widths[0]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.5, 1]), (0, 16, [0, 5, 10, 15]), (-3, 3, [-2, 0, 2]), (90, 98, [90, 92, 94, 96, 98])],
)
def test_ticks_are_round(low, high, ticks):
    assert nice_ticks(low, high) == ticks


def test_tables_take_mappings_and_dataclasses():
    @dataclass
    class Row:
        target: str
        equal: int | None
        v_equal: bool

    page = table_html([Row("lava", 1234, True), Row("loihi2", None, False)])
    assert list(re.findall(r"<th [^>]*>([^<]*)", page)) == ["target", "equal", "v equal"]
    assert "1,234" in page
    assert "&ndash;" in page
    assert page.count("badge good") == page.count("badge bad") == 1
    assert 'class="number"' in page
    Checker(page)


def test_only_html_passes_unescaped():
    assert "<i>" in table_html([{"a": Html("<i>x</i>")}])
    assert "<i>" not in table_html([{"a": "<i>x</i>"}])


def test_the_environment_names_seed_command_and_versions():
    found = environment(seed=5)
    assert found["seed"] == "5"
    assert found["command"]
    assert found["python"]
    assert {"seamount", "torch", "numpy", "lava-nc"} <= set(found)
    assert "seed" not in environment()
