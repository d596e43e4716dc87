"""A table as data: the content of every output format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from retbench.metrics import Interval
from retbench.report.tables.curve import Curve
from retbench.report.tables.unit import Unit
from retbench.results import Row, TieRange

Emphasis = Literal["", "best", "tied"]
"""`best`: the best of the cells it competes with, significantly different from all of them. If there is no such cell,
`tied`: the best, and the cells that are not significantly different from it."""
Verdict = Literal["agrees", "differs", "not comparable"]


class PublishedValue(NamedTuple):
    """The published number or numbers of a cell, compared with the measured one.

    Attributes:
        values: the published numbers in the unit of the cell, as printed (percent: 61.09): one, or, if the paper has
            the cell for other datasets only, several in ascending order.
        difference: measured less published in that unit; None if the two are not comparable.
        verdict: whether they agree.
        source: the paper's table, for example `RetPur, Table 1`.
    """

    values: tuple[float, ...]
    difference: float | None
    verdict: Verdict
    source: str


class PublishedComparison(NamedTuple):
    """The comparison of a measured number with a published one.

    Attributes:
        published: the number or numbers and the verdict.
        notes: why the two are not comparable, or what the paper does not state; then remarks on the published number.
            Equal reasons have equal texts.
    """

    published: PublishedValue
    notes: tuple[str, ...]


PublishedComparator = Callable[[Row, str, Interval], PublishedComparison | None]
"""Compares a row's metric and its interval in 0..1 with the published number; None if there is none."""


class Value(NamedTuple):
    """The content of one cell of a table.

    Attributes:
        interval: the number before scaling by `unit`, mostly in 0..1; None if there is none.
        mark: why there is none: `missing` (a dash), or the mark of a footnote: a letter for a skipped cell, a dagger
            for a failed one. Empty if there is a number.
        unit: of the printed number.
        emphasis: whether it is the best of the cells it competes with.
        tie_range: the worst and the best value over all orders of tied items, if that is wider than the interval.
        published: the published number, if the report compares with a paper.
        notes: marks of the footnotes of a cell that has a number.
        details: label and text of further information on the number: protocol, keys, seconds.
        access: what the attack gets from the network: `gradient`, `score` or `decision`; empty without an attack.
        queries: the mean number of queries that a black-box attack used for a query image; None for other cells.
    """

    interval: Interval | None
    mark: str = ""
    unit: Unit = Unit.PERCENT
    emphasis: Emphasis = ""
    tie_range: TieRange | None = None
    published: PublishedValue | None = None
    notes: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    access: str = ""
    queries: float | None = None


class TableRow(NamedTuple):
    """One row: its block (empty if there are no blocks), its label, and its values, one per column."""

    block: str
    label: str
    values: tuple[Value, ...]


class CostLine(NamedTuple):
    """The cost of a row's images: seconds per image of attack and defense, peak memory in bytes, and what attacks did.

    `change` is the root mean square change of an image by the attack, 0 to 1, and `queries` how often a black-box one
    queried the network for an image.

    Each is the minimum and the maximum over the table's columns; None if nothing was computed, or for `queries` if no
    attack is black-box. `access` joins what the attacks get from the network; empty without an attack.
    """

    label: str
    attack: tuple[float, float] | None
    defense: tuple[float, float] | None
    memory: tuple[float, float] | None
    access: str = ""
    queries: tuple[float, float] | None = None
    change: tuple[float, float] | None = None


class HasherLine(NamedTuple):
    """What a number of a hasher is to be compared with.

    Attributes:
        label: dataset and hasher, with its hardening.
        chance: the MAP of a random ranking, 0 to 1; NaN if it is undefined, as `target_chance`.
        target_chance: the T-MAP of a random ranking.
        codes: the number of distinct codes of the database.
        items: the number of its items.
        largest: the share of items that have the most frequent code, 0 to 1.
    """

    label: str
    chance: float
    target_chance: float
    codes: int
    items: int
    largest: float


class Table(NamedTuple):
    """A table.

    Attributes:
        title: printed above it.
        columns: for each column its headers, outermost first; all columns have the same number of them.
        rows: its rows; those of one block are consecutive.
        footnotes: mark and text of each.
        caption: printed below it.
        curve: the numbers as a curve, if the layout asks for one.
        costs: seconds and memory of its rows; empty if no image was attacked or defended.
        provenance: label and text of each line on the source of the numbers.
        hashers: chance levels and code counts of its hashers; empty without a number.
    """

    title: str
    columns: tuple[tuple[str, ...], ...]
    rows: tuple[TableRow, ...]
    footnotes: tuple[tuple[str, str], ...]
    caption: str
    curve: Curve | None = None
    costs: tuple[CostLine, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
    hashers: tuple[HasherLine, ...] = ()
