"""Turns rows into tables, by a layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_lowercase
from typing import NamedTuple, cast

from retbench.errors import LayoutError, suggest
from retbench.metrics import Interval
from retbench.report.tables.curve import check_sweep, make_curve
from retbench.report.tables.detail import details_of
from retbench.report.tables.hashers import hasher_lines
from retbench.report.tables.layout import COSTS, Cost, Layout, MetricBlock
from retbench.report.tables.page import (
    AxisValues,
    TablePage,
    axis_values,
    column_headers,
    ordered_axis_values,
    row_label,
    split_pages,
)
from retbench.report.tables.paired import pair_rows
from retbench.report.tables.pool import pool_seeds
from retbench.report.tables.provenance import check_uniform, table_provenance
from retbench.report.tables.sample import block_interval
from retbench.report.tables.significance import LEVEL, POWER, SignificanceResults, compare_competitors
from retbench.report.tables.table import CostLine, PublishedComparator, PublishedValue, Table, TableRow, Value
from retbench.results import ROW_AXES, Evidence, Row, ScoreReader
from retbench.stages.scoring import QUERIES_USED

DAGGER = "\u2020"


class RowSpec(NamedTuple):
    """A row of a table before its values are filled in.

    Attributes:
        block: its block; empty if there are no blocks.
        label: its label.
        cells: the metric and the column of each cell.
        row: its values on the axes of the rows.
    """

    block: str
    label: str
    cells: tuple[tuple[MetricBlock, AxisValues], ...]
    row: AxisValues


def pivot(
    evidence: Evidence, layout: Layout, comparator: PublishedComparator | None = None, *, uniform: bool = False
) -> list[Table]:
    """Return the tables of a layout: one for each combination of the axes that vary and are neither rows nor columns.

    Seeds are pooled unless the layout has an axis for them.

    Args:
        evidence: the rows and the source of their numbers.
        layout: the layout.
        comparator: compares each number with the published one.
        uniform: refuse tables that mix devices, precisions or versions.

    Raises:
        LayoutError: no row is selected, no row has a metric of the layout, or no row sweeps the option of its curve
            over numbers.
        UserError: `uniform`, and a table mixes devices, precisions or versions.
    """
    rows = pair_rows(evidence, layout.paired, layout.metrics) if layout.paired else evidence.rows
    selected = [row for row in rows if layout.shows(row)]
    if not selected and (layout.select or not layout.curve) and not layout.paired:
        raise LayoutError(f"layout {layout.title!r}: it selects none of the {len(rows)} rows")
    check_sweep(selected, rows, layout)
    if len({row.attack for row in selected} - {"none"}) > 1:
        layout = layout.model_copy(update={"compound": True})
    shown = selected if _has_seed_axis(layout) or layout.paired else pool_seeds(selected, evidence.scores)
    _check_metrics(shown, layout, evidence.scores)
    pages = split_pages(shown, layout)
    for page in pages if uniform else ():
        check_uniform(page.rows, evidence, page.title)
    return [_TableBuilder(page, layout, evidence, comparator).build() for page in pages]


class Footnotes:
    """Assigns marks to texts in order of appearance: letters, and daggers for failures."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}
        self._daggers: dict[str, str] = {}

    def letter(self, text: str) -> str:
        """Return the letter of a text: a, b ... z, aa, ab and so on."""
        return self._letters.setdefault(text, _letters(len(self._letters)))

    def dagger(self, text: str) -> str:
        """Return the dagger of a text: a plain dagger for the first, numbered ones for the others."""
        number = len(self._daggers) + 1
        return self._daggers.setdefault(text, DAGGER if number == 1 else f"{DAGGER}{number}")

    def entries(self) -> tuple[tuple[str, str], ...]:
        """Return mark and text of each, daggers last."""
        return tuple((mark, text) for texts in (self._letters, self._daggers) for text, mark in texts.items())


def _letters(index: int) -> str:
    """Return the letters of an index from 0, as a spreadsheet names its columns."""
    before, last = divmod(index, len(ascii_lowercase))
    return (_letters(before - 1) if before else "") + ascii_lowercase[last]


def _has_seed_axis(layout: Layout) -> bool:
    return "seed" in (*layout.columns, *layout.rows, *(axis for pattern in layout.select for axis in pattern))


class _TableBuilder:
    """Builds the table of one page."""

    def __init__(
        self, page: TablePage, layout: Layout, evidence: Evidence, comparator: PublishedComparator | None
    ) -> None:
        self.page, self.layout, self.evidence, self.comparator = page, layout, evidence, comparator
        self.cells = {(axis_values(row, layout.rows), axis_values(row, layout.columns)): row for row in page.rows}
        self.rows: dict[AxisValues, list[Row]] = {}
        for row in page.rows:
            self.rows.setdefault(axis_values(row, layout.rows), []).append(row)
        self.footnotes = Footnotes()
        nothing = SignificanceResults({}, 0, {})
        self.significance = nothing if layout.paired else compare_competitors(page.rows, layout, evidence.scores)

    def build(self) -> Table:
        """Return the table."""
        layout, rows = self.layout, self.page.rows
        columns = ordered_axis_values(rows, layout, layout.columns)
        inner = [(block.heading,) for block in layout.metrics] if layout.across else [()]
        headers = tuple((*column_headers(layout, column), *metric) for column in columns for metric in inner)
        table_rows = tuple(self._table_row(spec) for spec in self._row_specs(columns))
        return Table(
            self.page.title,
            headers,
            table_rows,
            self.footnotes.entries(),
            " ".join(part for part in (layout.caption, *_significance_sentences(self.significance, layout)) if part),
            make_curve(self.page, layout),
            cost_lines(rows, layout) if not layout.paired else (),
            table_provenance(rows, self.evidence),
            hasher_lines(rows, layout),
        )

    def _row_specs(self, columns: Sequence[AxisValues]) -> Iterator[RowSpec]:
        layout = self.layout
        rows = ordered_axis_values(self.page.rows, layout, layout.rows)
        for blocks in [layout.metrics] if layout.across else [(block,) for block in layout.metrics]:
            for row in sorted(rows, key=self._block_rank) if layout.blocks else rows:
                if not any(self._in_block(block, row) for block in blocks):
                    continue
                label = row_label(layout, row, without=layout.blocks) or "none"
                schedules = dict.fromkeys(
                    str(cell.data["shortened"]) for cell in self.rows[row] if "shortened" in cell.data
                )
                label = ", ".join((label, " or ".join(schedules))) if schedules else label
                cells = tuple((block, column) for column in columns for block in blocks)
                yield RowSpec(self._heading(blocks, row), label, cells, row)

    def _block_rank(self, row: AxisValues) -> int:
        """Return the position of a row's block, so that sorting makes the rows of a block consecutive."""
        axis = self.layout.rows.index(self.layout.blocks)
        heads = [head for (head,) in ordered_axis_values(self.page.rows, self.layout, (self.layout.blocks,))]
        return heads.index(row[axis])

    def _heading(self, blocks: Sequence[MetricBlock], row: AxisValues) -> str:
        if self.layout.blocks:
            return self.layout.printed_name(self.layout.blocks, row[self.layout.rows.index(self.layout.blocks)])
        return "" if self.layout.across else blocks[0].heading

    def _in_block(self, block: MetricBlock, row: AxisValues) -> bool:
        """Return whether a block shows any cell of a row."""
        return any(block.shows(cell) for cell in self.rows[row])

    def _table_row(self, spec: RowSpec) -> TableRow:
        values = (self._value(self.cells.get((spec.row, column)), block) for block, column in spec.cells)
        return TableRow(spec.block, spec.label, tuple(values))

    def _value(self, row: Row | None, block: MetricBlock) -> Value:
        if row is None or not block.shows(row) or (row.status == "missing" and not row.reason):
            return Value(None, "missing", block.unit)
        if row.status in ("skipped", "missing"):
            return Value(None, self.footnotes.letter(f"{row.status}: {row.reason}"), block.unit)
        if row.status != "done":
            log = f"; log: {self.evidence.log}" if self.evidence.log else ""
            return Value(None, self.footnotes.dagger(f"{row.status}: {row.reason}{log}"), block.unit)
        interval = block_interval(row, block, self.evidence.scores)
        if interval is None:
            return Value(None, "missing", block.unit)
        tie_range = row.tie_ranges.get(block.name) if block.at is None else None
        inside = tie_range is not None and interval.low <= tie_range.worst and tie_range.best <= interval.high
        published, notes = self._published(row, block, interval)
        emphasis = self.significance.emphasis.get((axis_values(row, ROW_AXES), block.name), "")
        lost = tuple(self.footnotes.dagger(seed) for seed in cast(list[str], row.data.get("lost", [])))
        warnings = tuple(self.footnotes.letter(f"warning: {warning}") for warning in row.warnings)
        ties = None if inside or tie_range is None or tie_range.worst == tie_range.best else tie_range
        queries = row.metrics[QUERIES_USED].value if QUERIES_USED in row.metrics else None
        marks, details = (*lost, *warnings, *notes), details_of(row)
        return Value(interval, "", block.unit, emphasis, ties, published, marks, details, row.access, queries)

    def _published(
        self, row: Row, block: MetricBlock, interval: Interval
    ) -> tuple[PublishedValue | None, tuple[str, ...]]:
        if self.comparator is None or self.layout.paired or block.at is not None:  # papers print neither of these
            return None, ()
        comparison = self.comparator(row, block.name, interval)
        if comparison is None:
            return None, ()
        return comparison.published, tuple(self.footnotes.letter(note) for note in comparison.notes)


def _significance_sentences(results: SignificanceResults, layout: Layout) -> Iterator[str]:
    """Yield the sentences of a caption on bold, underlined and detectable differences."""
    if results.comparisons and layout.contest:
        comparisons = "comparison" if results.comparisons == 1 else "comparisons"
        axes = f"{layout.contest.axis} and swept options" if layout.contest.variants else layout.contest.axis
        yield (
            f"Bold: the best {layout.contest.axis} among cells that differ only in {axes}, if significantly different "
            f"from all others (paired t-tests over queries, Holm-adjusted over {results.comparisons} {comparisons}, "
            f"{100 * LEVEL:g} %). Underlined: otherwise, the best and those not significantly different from it."
        )
    if results.detectable:
        test = "first step of Holm's adjustment" if results.comparisons else f"single test at {100 * LEVEL:g} %, median"
        kinds = (
            f"{kind or 'neighboring rows'} {' and '.join(_points(label, *ends) for label, ends in differences.items())}"
            for kind, differences in results.detectable.items()
        )
        yield f"Paired differences that are detectable with a power of {100 * POWER:g} % ({test}): {'; '.join(kinds)}."


def _points(label: str, low: float, high: float) -> str:
    """Return a range of differences in words; one number if both ends print alike."""
    ends = dict.fromkeys(f"{100 * end:.2f}" for end in (low, high))
    return f"{' to '.join(ends)} points of {label}"


def cost_lines(rows: Sequence[Row], layout: Layout) -> tuple[CostLine, ...]:
    """Return the cost of the images of each row of a table, the minimum and the maximum over its cells.

    A row whose queries were neither attacked nor purified, or whose steps are not stored, is left out, unless its
    attack is black-box: the queries that it used are part of its score.
    """
    cells: dict[AxisValues, list[Row]] = {values: [] for values in ordered_axis_values(rows, layout, layout.rows)}
    for row in rows:
        cells[axis_values(row, layout.rows)].append(row)
    costs = []
    for values, members in cells.items():
        attack, defense = (_cost_range(members, COSTS[name]) for name in ("attack_seconds", "defense_seconds"))
        if attack or defense or any(QUERIES_USED in row.metrics for row in members):
            memory = _cost_range(members, COSTS["peak_memory"])
            access = " and ".join(dict.fromkeys(row.access for row in members if row.access))
            change, used = (_metric_range(members, metric) for metric in ("perceptibility", QUERIES_USED))
            costs.append(CostLine(row_label(layout, values) or "none", attack, defense, memory, access, used, change))
    return tuple(costs)


def _metric_range(rows: Sequence[Row], metric: str) -> tuple[float, float] | None:
    values = [row.metrics[metric].value for row in rows if metric in row.metrics]
    return (min(values), max(values)) if values else None


def _cost_range(rows: Sequence[Row], cost: Cost) -> tuple[float, float] | None:
    values = [cast(float, row.cost[name]) for row in rows for name in cost.recorded if name in row.cost]
    return (min(values), max(values)) if values else None


def _check_metrics(rows: Sequence[Row], layout: Layout, scores: ScoreReader) -> None:
    """Raise LayoutError for a metric that no row has, unless a cell that is not done may still bring it."""
    if not rows or any(row.status != "done" for row in rows):
        return
    known = {name for row in rows for name in row.metrics} | set(COSTS)
    for block in layout.metrics:
        if block.at is None and block.name not in known:
            raise LayoutError(
                f"layout {layout.title!r}: no row has this metric: got {block.name!r}, {suggest(block.name, known)}"
            )
        if block.at is not None and all(block_interval(row, block, scores) is None for row in rows):
            raise LayoutError(
                f"layout {layout.title!r}: no row has this per-query value: got {block.name!r}, expected one that a "
                "cell of the suite records, for example certified_radius of certifiers"
            )
