"""Renderings: a table or a whole report as Markdown, LaTeX, HTML, CSV, JSON, or for a console; a module a format."""

from retbench.report.render.cell import DASH, number, percent
from retbench.report.render.console import console
from retbench.report.render.csv import as_csv
from retbench.report.render.html import as_html
from retbench.report.render.json import as_json, record
from retbench.report.render.latex import document, latex
from retbench.report.render.markdown import announce, as_markdown, describe, escape, markdown

__all__ = [
    "DASH",
    "announce",
    "as_csv",
    "as_html",
    "as_json",
    "as_markdown",
    "console",
    "describe",
    "document",
    "escape",
    "latex",
    "markdown",
    "number",
    "percent",
    "record",
]
