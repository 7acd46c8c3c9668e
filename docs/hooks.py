"""What the documentation site computes when it is built."""

from __future__ import annotations

import re

import numpy as np

import seamount as sm
from seamount.report import line_svg
from seamount.report.html import tag

SURROGATES = (
    sm.nn.FastSigmoid, sm.nn.SuperSpike, sm.nn.Sigmoid, sm.nn.Triangular, sm.nn.Rectangular, sm.nn.ArcTan,
    sm.nn.Exponential, sm.nn.Gaussian, sm.nn.MultiGaussian, sm.nn.TruncatedQuadratic, sm.nn.StraightThrough,
)  # fmt: skip
STYLE = """<style>
.surrogates { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: 16px; }
.surrogates svg { width: 100%; height: auto; font-family: inherit; }
.surrogates svg text { fill: currentColor; font-size: 13px; } .surrogates .title { font-weight: 650; }
.surrogates .grid, .surrogates .axis { stroke: #8884; } .surrogates .line { stroke-width: 2; fill: none; }
</style>"""


def surrogates() -> str:
    """A plot of each surrogate derivative with its default scale."""
    x = np.linspace(-1.5, 1.5, 301)
    figures = [
        line_svg({"": [float(kind()(v)) for v in x]}, repr(kind()), x.tolist(), "v - vth", y_range=(-0.25, 1.25))
        for kind in SURROGATES
    ]
    return STYLE + tag("div", *figures, class_="surrogates")


def on_page_markdown(markdown: str, **_) -> str:
    """Put the plots where a page asks for them."""
    return re.sub(r"<!-- surrogates -->", lambda _: surrogates(), markdown)
