"""From rows to tables: layouts, pivot, rendering, provenance."""

from retbench.report.layout import Layout, read_layout, shipped_layouts
from retbench.report.pivot import pair, pivot
from retbench.report.provenance import provenance
from retbench.report.render import console, markdown, percent
from retbench.report.table import Table, TableRow, Value
from retbench.report.write import Report, as_markdown, make_tables, write_report

__all__ = [
    "Layout",
    "Report",
    "Table",
    "TableRow",
    "Value",
    "as_markdown",
    "console",
    "make_tables",
    "markdown",
    "pair",
    "percent",
    "pivot",
    "provenance",
    "read_layout",
    "shipped_layouts",
    "write_report",
]
