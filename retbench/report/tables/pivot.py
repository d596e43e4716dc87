"""From rows to tables, by a layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_lowercase
from typing import NamedTuple, cast

from retbench.errors import LayoutError, suggest
from retbench.metrics import Interval
from retbench.report.tables.contest import LEVEL, POWER, Standings, hold_contests
from retbench.report.tables.curve import check_sweep, trace
from retbench.report.tables.detail import details_of
from retbench.report.tables.layout import COSTS, Cost, Layout, MetricBlock
from retbench.report.tables.page import Page, Point, column_names, ordered_points, paginate, point_of, row_label
from retbench.report.tables.paired import pair
from retbench.report.tables.pool import pool_seeds
from retbench.report.tables.provenance import check_uniform, provenance
from retbench.report.tables.sample import number_of
from retbench.report.tables.table import CostLine, Judge, Published, Table, TableRow, Value
from retbench.results import ROW_AXES, Evidence, Row, Scores

DAGGER = "\u2020"


class Line(NamedTuple):
    """One line of a table before its values: its block, its label, and the metric and the point of each column."""

    block: str
    label: str
    places: tuple[tuple[MetricBlock, Point], ...]
    point: Point


def pivot(evidence: Evidence, layout: Layout, judge: Judge | None = None, *, uniform: bool = False) -> list[Table]:
    """Return the tables of a layout: one, or one for each combination of the axes that vary and are not laid out.

    Seeds are pooled unless the layout lays them out. With a judge, each number has the published one beside it.

    Raises:
        LayoutError: no row is selected, or no row has a metric that the layout names or sweeps the option of its
            curve over numbers.
        UserError: `uniform`, and a table mixes devices, precisions or versions.
    """
    rows = pair(evidence, layout.paired, layout.metrics) if layout.paired else evidence.rows
    chosen = [row for row in rows if layout.shows(row)]
    if not chosen and (layout.select or not layout.curve) and not layout.paired:
        raise LayoutError(f"layout {layout.title!r}: it selects none of the {len(rows)} rows")
    check_sweep(chosen, rows, layout)
    if len({row.attack for row in chosen} - {"none"}) > 1:
        layout = layout.model_copy(update={"compound": True})
    shown = chosen if _lays_out_seeds(layout) or layout.paired else pool_seeds(chosen, evidence.scores)
    _check_metrics(shown, layout, evidence.scores)
    pages = paginate(shown, layout)
    for page in pages if uniform else ():
        check_uniform(page.rows, evidence, page.title)
    return [_Tabulation(page, layout, evidence, judge).table() for page in pages]


class Footnotes:
    """Gives texts their marks as they come: letters, and a dagger for what failed."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}
        self._daggers: dict[str, str] = {}

    def mark(self, text: str) -> str:
        """Return the letter of a text: a, b ... z, aa, ab and so on."""
        return self._letters.setdefault(text, _letters(len(self._letters)))

    def dagger(self, text: str) -> str:
        """Return the dagger of a text: one dagger for the first, numbered ones for the others."""
        number = len(self._daggers) + 1
        return self._daggers.setdefault(text, DAGGER if number == 1 else f"{DAGGER}{number}")

    def texts(self) -> tuple[tuple[str, str], ...]:
        """Return mark and text of each, daggers last."""
        return tuple((mark, text) for texts in (self._letters, self._daggers) for text, mark in texts.items())


def _letters(place: int) -> str:
    """Return the letters of a place counted from 0, as columns of a spreadsheet have them."""
    before, last = divmod(place, len(ascii_lowercase))
    return (_letters(before - 1) if before else "") + ascii_lowercase[last]


def _lays_out_seeds(layout: Layout) -> bool:
    laid = (*layout.columns, *layout.rows, *(axis for pattern in layout.select for axis in pattern))
    return "seed" in laid


class _Tabulation:
    """One page on its way to a table."""

    def __init__(self, page: Page, layout: Layout, evidence: Evidence, judge: Judge | None) -> None:
        self.page, self.layout, self.evidence, self.judge = page, layout, evidence, judge
        self.rows = {(point_of(row, layout.rows), point_of(row, layout.columns)): row for row in page.rows}
        self.lines: dict[Point, list[Row]] = {}
        for row in page.rows:
            self.lines.setdefault(point_of(row, layout.rows), []).append(row)
        self.notes = Footnotes()
        nothing = Standings({}, 0, {})
        self.standings = nothing if layout.paired else hold_contests(page.rows, layout, evidence.scores)

    def table(self) -> Table:
        """Return the page as a table."""
        layout, rows = self.layout, self.page.rows
        columns = ordered_points(rows, layout, layout.columns)
        inner = [(block.heading,) for block in layout.metrics] if layout.across else [()]
        headers = tuple((*column_names(layout, column), *metric) for column in columns for metric in inner)
        lines = tuple(self._row(line) for line in self._lines(columns))
        return Table(
            self.page.title,
            headers,
            lines,
            self.notes.texts(),
            " ".join(part for part in (layout.caption, *_statistics(self.standings, layout)) if part),
            trace(self.page, layout),
            cost_lines(rows, layout) if not layout.paired else (),
            provenance(rows, self.evidence),
        )

    def _lines(self, columns: Sequence[Point]) -> Iterator[Line]:
        layout, points = self.layout, ordered_points(self.page.rows, self.layout, self.layout.rows)
        for blocks in [layout.metrics] if layout.across else [(block,) for block in layout.metrics]:
            for point in sorted(points, key=self._rank) if layout.blocks else points:
                if not any(self._in_block(block, point) for block in blocks):
                    continue
                label = row_label(layout, point, without=layout.blocks) or "none"
                places = tuple((block, column) for column in columns for block in blocks)
                yield Line(self._heading(blocks, point), label, places, point)

    def _rank(self, point: Point) -> int:
        """Return the place of a line's block, for lines of one block to follow each other."""
        at = self.layout.rows.index(self.layout.blocks)
        heads = [head for (head,) in ordered_points(self.page.rows, self.layout, (self.layout.blocks,))]
        return heads.index(point[at])

    def _heading(self, blocks: Sequence[MetricBlock], point: Point) -> str:
        if self.layout.blocks:
            return self.layout.named(self.layout.blocks, point[self.layout.rows.index(self.layout.blocks)])
        return "" if self.layout.across else blocks[0].heading

    def _in_block(self, block: MetricBlock, point: Point) -> bool:
        """Return whether any cell of a line belongs in a block."""
        return any(block.shows(row) for row in self.lines[point])

    def _row(self, line: Line) -> TableRow:
        values = (self._value(self.rows.get((line.point, column)), block) for block, column in line.places)
        return TableRow(line.block, line.label, tuple(values))

    def _value(self, row: Row | None, block: MetricBlock) -> Value:
        if row is None or not block.shows(row) or (row.status == "missing" and not row.reason):
            return Value(None, "missing", block.unit)
        if row.status in ("skipped", "missing"):
            return Value(None, self.notes.mark(f"{row.status}: {row.reason}"), block.unit)
        if row.status != "done":
            log = f"; log: {self.evidence.log}" if self.evidence.log else ""
            return Value(None, self.notes.dagger(f"{row.status}: {row.reason}{log}"), block.unit)
        interval = number_of(row, block, self.evidence.scores)
        if interval is None:
            return Value(None, "missing", block.unit)
        tie_range = row.tie_ranges.get(block.name) if block.at is None else None
        inside = tie_range is not None and interval.low <= tie_range.worst and tie_range.best <= interval.high
        published, notes = self._published(row, block, interval)
        emphasis = self.standings.emphasis.get((point_of(row, ROW_AXES), block.name), "")
        lost = tuple(self.notes.dagger(seed) for seed in cast(list[str], row.data.get("lost", [])))
        ties = None if inside or tie_range is None or tie_range.worst == tie_range.best else tie_range
        return Value(interval, "", block.unit, emphasis, ties, published, (*lost, *notes), details_of(row))

    def _published(self, row: Row, block: MetricBlock, interval: Interval) -> tuple[Published | None, tuple[str, ...]]:
        if self.judge is None or self.layout.paired or block.at is not None:  # papers print neither of these
            return None, ()
        judgment = self.judge(row, block.name, interval)
        if judgment is None:
            return None, ()
        return judgment.published, tuple(self.notes.mark(note) for note in judgment.notes)


def _statistics(standings: Standings, layout: Layout) -> Iterator[str]:
    """Yield the sentences of a caption on bold, underlined and detectable."""
    if standings.comparisons and layout.contest:
        pairs = "comparison" if standings.comparisons == 1 else "comparisons"
        yield (
            f"Bold is the best {layout.contest.axis} among cells that differ in nothing else, if separated from every "
            f"other (paired t-tests over queries, Holm over {standings.comparisons} {pairs}, {100 * LEVEL:g} %); "
            "else it and those it cannot be told from are underlined."
        )
    if standings.detectable:
        least = " and ".join(f"{100 * points:.2f} points of {label}" for label, points in standings.detectable.items())
        pairs = "the pairs" if standings.comparisons else "neighboring rows"
        how = "at Holm's first step" if standings.comparisons else f"by a single test at {100 * LEVEL:g} %"
        yield f"A paired difference of {least} would be found {100 * POWER:g} times in 100 {how} (median of {pairs})."


def cost_lines(rows: Sequence[Row], layout: Layout) -> tuple[CostLine, ...]:
    """Return the cost of the images of each line of a table, the least and the most of its cells.

    A line whose queries were neither attacked nor purified, or whose steps are gone, is left out.
    """
    lines: dict[Point, list[Row]] = {point: [] for point in ordered_points(rows, layout, layout.rows)}
    for row in rows:
        lines[point_of(row, layout.rows)].append(row)
    costs = []
    for point, mine in lines.items():
        attack, defense = (_span(mine, COSTS[name]) for name in ("attack_seconds", "defense_seconds"))
        if attack or defense:
            memory = _span(mine, COSTS["peak_memory"])
            costs.append(CostLine(row_label(layout, point) or "none", attack, defense, memory))
    return tuple(costs)


def _span(rows: Sequence[Row], cost: Cost) -> tuple[float, float] | None:
    found = [cast(float, row.cost[name]) for row in rows for name in cost.recorded if name in row.cost]
    return (min(found), max(found)) if found else None


def _check_metrics(rows: Sequence[Row], layout: Layout, scores: Scores) -> None:
    """Raise LayoutError for a metric that no row has, unless a cell that has not run may still bring it."""
    if not rows or any(row.status != "done" for row in rows):
        return
    known = {name for row in rows for name in row.metrics} | set(COSTS)
    for block in layout.metrics:
        if block.at is None and block.name not in known:
            raise LayoutError(
                f"layout {layout.title!r}: no row has this metric: got {block.name!r}, {suggest(block.name, known)}"
            )
        if block.at is not None and all(number_of(row, block, scores) is None for row in rows):
            raise LayoutError(
                f"layout {layout.title!r}: no row has this value of single queries: got {block.name!r}, expected one "
                "that a cell of the suite records, as certifiers record certified_radius"
            )
