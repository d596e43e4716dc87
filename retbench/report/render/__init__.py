"""Tables as text: Markdown, a console, LaTeX, CSV and JSON."""

from retbench.report.render.cell import DASH, number, percent
from retbench.report.render.console import console
from retbench.report.render.csv import as_csv
from retbench.report.render.json import record
from retbench.report.render.latex import document, latex
from retbench.report.render.markdown import announce, describe, escape, markdown

__all__ = [
    "DASH",
    "announce",
    "as_csv",
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
