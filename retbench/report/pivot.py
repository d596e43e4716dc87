"""From rows to tables, by a layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from retbench.errors import LayoutError
from retbench.metrics import Interval, paired_difference
from retbench.report.curve import check_sweep, trace
from retbench.report.layout import AXES, Layout, MetricBlock
from retbench.report.page import Page, Point, column_names, ordered_points, paginate, point_of, row_label
from retbench.report.table import Table, TableRow, Value
from retbench.results import Row
from retbench.store import Store


def pivot(rows: Sequence[Row], layout: Layout) -> list[Table]:
    """Returns the tables of a layout: one, or one for each combination of the axes that vary and are not laid out.

    Raises:
        LayoutError: no row is selected, or no row has a metric that the layout names or sweeps the option of its
            curve over numbers.
    """
    chosen = [row for row in rows if layout.shows(row)]
    if not chosen and (layout.select or not layout.curve):
        raise LayoutError(f"layout {layout.title!r}: it selects none of the {len(rows)} rows")
    check_sweep(chosen, rows, layout)
    _check_metrics(chosen, layout)
    return [_table(page, layout) for page in paginate(chosen, layout)]


def pair(rows: Sequence[Row], layout: Layout, store: Store) -> list[Row]:
    """Returns a row for each pair of cells that differ in the layout's paired axis only: first less second.

    Its metrics are mean differences over the same queries with bootstrap intervals (`paired_difference`); a pair that
    lacks a side, or whose sides were scored on other queries, is left out.
    """
    if layout.paired is None:
        raise LayoutError(f"layout {layout.title!r}: it pairs nothing")
    axis, first, second = layout.paired.axis, layout.paired.first, layout.paired.second
    sides = {(getattr(row, axis), _others(row, axis)): row for row in rows if row.status == "done"}
    found = []
    for (value, others), row in sides.items():
        partner = sides.get((second, others))
        if value == first and partner is not None:
            found.append(replace(row, metrics=_differences(row, partner, layout, store)))
    return found


def _differences(first: Row, second: Row, layout: Layout, store: Store) -> dict[str, Interval]:
    mine, theirs = store.get(first.key).tensors, store.get(second.key).tensors
    level, resamples = cast(float, first.protocol["confidence"]), cast(int, first.protocol["resamples"])
    return {
        block.name: paired_difference(mine[block.name], theirs[block.name], level=level, resamples=resamples)
        for block in layout.metrics
    }


def _others(row: Row, axis: str) -> Point:
    return point_of(row, [other for other in AXES if other != axis])


def _check_metrics(rows: Sequence[Row], layout: Layout) -> None:
    known = {name for row in rows for name in row.metrics}
    if any(row.status == "missing" for row in rows):
        return  # a cell that has not run yet may still bring the metric
    for block in layout.metrics:
        if known and block.name not in known:
            raise LayoutError(
                f"layout {layout.title!r}: no row has this metric: got {block.name!r}, expected one of {sorted(known)}"
            )


def _table(page: Page, layout: Layout) -> Table:
    columns = ordered_points(page.rows, layout, layout.columns)
    lines = ordered_points(page.rows, layout, layout.rows)
    places = {(point_of(row, layout.rows), point_of(row, layout.columns)): row for row in page.rows}
    bold = {point_of(row, layout.rows) for row in page.rows if layout.emphasised(row)}
    notes: dict[str, str] = {}
    table_rows = tuple(
        TableRow(
            "" if layout.across else blocks[0].heading,
            row_label(layout, line) or "none",
            tuple(_value(places.get((line, column)), block, notes) for column in columns for block in blocks),
            line in bold,
        )
        for blocks in ([layout.metrics] if layout.across else [(block,) for block in layout.metrics])
        for line in lines
    )
    inner = [(block.heading,) for block in layout.metrics] if layout.across else [()]
    headers = tuple((*column_names(layout, column), *metric) for column in columns for metric in inner)
    footnotes = tuple(f"({mark}) {reason}" for reason, mark in notes.items())
    return Table(page.title, headers, table_rows, footnotes, layout.caption, trace(page, layout))


def _value(row: Row | None, block: MetricBlock, notes: dict[str, str]) -> Value:
    if row is None or row.status == "missing":
        return Value(None, "missing")
    if row.status == "done":
        return Value(row.metrics.get(block.name), "" if block.name in row.metrics else "missing", block.unit)
    reason = f"{row.status}: {row.reason}"
    return Value(None, notes.setdefault(reason, chr(ord("a") + len(notes) % 26)))
