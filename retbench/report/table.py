"""A table as data: what every output format prints."""

from __future__ import annotations

from typing import NamedTuple

from retbench.metrics import Interval
from retbench.report.curve import Curve
from retbench.report.unit import Unit


class Value(NamedTuple):
    """What stands in one place of a table.

    Attributes:
        interval: the number, in 0..1; None where there is none.
        mark: why there is none: `missing`, or the letter of a footnote.
        unit: what it is printed in.
    """

    interval: Interval | None
    mark: str = ""
    unit: Unit = Unit.PERCENT


class TableRow(NamedTuple):
    """One line: its block (empty where metrics stand across), its label, its values, and whether it is set in bold."""

    block: str
    label: str
    values: tuple[Value, ...]
    bold: bool


class Table(NamedTuple):
    """A title, column headers (a tuple of levels each), lines, footnotes, a caption, and the numbers as a curve."""

    title: str
    columns: tuple[tuple[str, ...], ...]
    rows: tuple[TableRow, ...]
    footnotes: tuple[str, ...]
    caption: str
    curve: Curve | None = None
