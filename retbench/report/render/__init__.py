"""Renderings of tables and reports: Markdown, LaTeX, HTML, CSV, JSON and console, one module per format."""

from retbench.report.render.cell import DASH, format_interval, format_percent
from retbench.report.render.console import console_table
from retbench.report.render.csv import as_csv
from retbench.report.render.html import as_html
from retbench.report.render.json import as_json, table_record
from retbench.report.render.latex import as_latex, latex_table
from retbench.report.render.markdown import as_markdown, curve_hint, describe_curve, escape, markdown_table

__all__ = [
    "DASH",
    "as_csv",
    "as_html",
    "as_json",
    "as_latex",
    "as_markdown",
    "console_table",
    "curve_hint",
    "describe_curve",
    "escape",
    "format_interval",
    "format_percent",
    "latex_table",
    "markdown_table",
    "table_record",
]
