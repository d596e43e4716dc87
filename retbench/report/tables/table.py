"""A table as data: the content of every output format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from retbench.metrics import Interval
from retbench.report.tables.curve import Curve
from retbench.report.tables.unit import Unit
from retbench.results import Row, TieRange

Emphasis = Literal["", "best", "tied"]
"""`best`: the best of its contest, separated from every rival; `tied`: where there is none, whom nothing separates from
the best."""
Verdict = Literal["agrees", "differs", "not comparable"]


class Published(NamedTuple):
    """The published number or numbers of a place, compared with the measured one.

    Attributes:
        values: the published numbers in the unit of the place, as printed (percent: 61.09): one, or, where the paper
            has the cell for other datasets only, several in ascending order.
        difference: measured less published in that unit; None where the two must not be subtracted.
        verdict: whether they agree.
        source: the paper's table, such as `RetPur, Table 1`.
    """

    values: tuple[float, ...]
    difference: float | None
    verdict: Verdict
    source: str


class Judgment(NamedTuple):
    """A published number beside a measured one, and what a reader must know to compare them.

    Attributes:
        published: the number or numbers and the verdict.
        notes: why the two are not comparable, or what the paper leaves open; then what is odd about the published
            number. The same text wherever the reason is the same.
    """

    published: Published
    notes: tuple[str, ...]


Judge = Callable[[Row, str, Interval], Judgment | None]
"""Returns the judgment of a row's metric and its interval in 0..1."""


class Value(NamedTuple):
    """The content of one place of a table.

    Attributes:
        interval: the number before scaling by `unit`, mostly in 0..1; None where there is none.
        mark: why there is none: `missing` (a dash), or the mark of a footnote: a letter for a skipped cell, a dagger
            for a failed one. Empty where there is a number.
        unit: of the printed number.
        emphasis: whether it is the best of its contest.
        tie_range: what the order inside ties can make of it, where that is wider than the interval.
        published: what a paper printed there, where the report is against one.
        notes: marks of footnotes that touch a place that has a number.
        details: label and text of what a reader may want of this very number: protocol, keys, seconds.
    """

    interval: Interval | None
    mark: str = ""
    unit: Unit = Unit.PERCENT
    emphasis: Emphasis = ""
    tie_range: TieRange | None = None
    published: Published | None = None
    notes: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()


class TableRow(NamedTuple):
    """One line: its block (empty where there are none), its label, and its values, one a column."""

    block: str
    label: str
    values: tuple[Value, ...]


class CostLine(NamedTuple):
    """What the images of a row took: seconds per image of attack and defense, and the costliest step's memory in bytes.

    Each is the least and the most over the table's columns; None where nothing was computed.
    """

    label: str
    attack: tuple[float, float] | None
    defense: tuple[float, float] | None
    memory: tuple[float, float] | None


class Table(NamedTuple):
    """A table.

    Attributes:
        title: printed above it.
        columns: for each column its headers, outermost first, equally many for all.
        rows: its lines; those of one block follow each other.
        footnotes: mark and text of each.
        caption: what a reader must know beneath it.
        curve: the numbers as a curve, where the layout wants one.
        costs: seconds and memory of its rows; empty where nothing was attacked or defended.
        provenance: label and text of each line on what the table rests on.
    """

    title: str
    columns: tuple[tuple[str, ...], ...]
    rows: tuple[TableRow, ...]
    footnotes: tuple[tuple[str, str], ...]
    caption: str
    curve: Curve | None = None
    costs: tuple[CostLine, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
