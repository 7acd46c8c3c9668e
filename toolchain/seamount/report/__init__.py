"""Self-contained HTML reports: no script, nothing loaded from elsewhere, readable in light and dark and on a phone."""

from seamount.report.environment import environment
from seamount.report.html import Html, Report, badge, code_html, figures_html, table_html
from seamount.report.program import program_report
from seamount.report.svg import bar_svg, line_svg, plane_svg, raster_svg

__all__ = [
    "Html",
    "Report",
    "badge",
    "bar_svg",
    "code_html",
    "environment",
    "figures_html",
    "line_svg",
    "plane_svg",
    "program_report",
    "raster_svg",
    "table_html",
]
