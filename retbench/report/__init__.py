"""Reports: the rows of a suite as tables and figures, compared with published numbers, in every format.

Its packages import in one direction: tables < published, figures < gallery < report < render < write, illustration.
"""

from retbench.report.figures.picture import Picture
from retbench.report.gallery.exhibit import Exhibit, Gallery, Hit, Ranking
from retbench.report.render import as_html, as_json, as_markdown
from retbench.report.report import Report, make_tables
from retbench.report.tables.layout import Layout, read_layout, shipped_layouts
from retbench.report.tables.pivot import pivot
from retbench.report.tables.provenance import check_uniform, table_provenance
from retbench.report.tables.table import CostLine, HasherLine, PublishedValue, Table, TableRow, Value
from retbench.report.write import write_report

__all__ = [
    "CostLine",
    "Exhibit",
    "Gallery",
    "HasherLine",
    "Hit",
    "Layout",
    "Picture",
    "PublishedValue",
    "Ranking",
    "Report",
    "Table",
    "TableRow",
    "Value",
    "as_html",
    "as_json",
    "as_markdown",
    "check_uniform",
    "make_tables",
    "pivot",
    "read_layout",
    "shipped_layouts",
    "table_provenance",
    "write_report",
]
