"""A table as data: what every output format prints."""

from __future__ import annotations

from typing import NamedTuple

from retbench.metrics import Interval


class Value(NamedTuple):
    """What stands in one place of a table.

    Attributes:
        interval: the number, in 0..1; None where there is none.
        mark: why there is none: `missing`, or the letter of a footnote.
    """

    interval: Interval | None
    mark: str = ""


class TableRow(NamedTuple):
    """One line: its block, its label, its values, and whether it is set in bold."""

    block: str
    label: str
    values: tuple[Value, ...]
    bold: bool


class Table(NamedTuple):
    """A title, column headers (a tuple of levels each), lines, footnotes and a caption."""

    title: str
    columns: tuple[tuple[str, ...], ...]
    rows: tuple[TableRow, ...]
    footnotes: tuple[str, ...]
    caption: str
