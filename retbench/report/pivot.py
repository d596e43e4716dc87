"""From rows to tables, by a layout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import cast

from retbench.errors import LayoutError
from retbench.metrics import Interval, paired_difference
from retbench.report.layout import AXES, Layout
from retbench.report.table import Table, TableRow, Value
from retbench.results import Row
from retbench.store import Store

Point = tuple[str | int, ...]


def pivot(rows: Sequence[Row], layout: Layout) -> list[Table]:
    """Returns the tables of a layout: one, or one for each combination of the axes that vary and are not laid out.

    Raises:
        LayoutError: no row is selected, or no row has a metric that the layout names.
    """
    chosen = [row for row in rows if layout.shows(row)]
    if not chosen:
        raise LayoutError(f"layout {layout.title!r}: it selects none of the {len(rows)} rows")
    _check_metrics(chosen, layout)
    free = [axis for axis in AXES if axis not in (*layout.columns, *layout.rows)]
    varying = [axis for axis in free if len({getattr(row, axis) for row in chosen}) > 1]
    pages = dict.fromkeys(_point(row, varying) for row in chosen)
    return [_page(layout, [row for row in chosen if _point(row, varying) == page], varying, page) for page in pages]


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
    return _point(row, [other for other in AXES if other != axis])


def _point(row: Row, axes: Iterable[str]) -> Point:
    return tuple(getattr(row, axis) for axis in axes)


def _check_metrics(rows: Sequence[Row], layout: Layout) -> None:
    known = {name for row in rows for name in row.metrics}
    for block in layout.metrics:
        if known and block.name not in known:
            raise LayoutError(
                f"layout {layout.title!r}: no row has this metric: got {block.name!r}, expected one of {sorted(known)}"
            )


def _page(layout: Layout, rows: Sequence[Row], varying: Sequence[str], page: Point) -> Table:
    columns = _ordered(rows, layout, layout.columns)
    lines = _ordered(rows, layout, layout.rows)
    places = {(_point(row, layout.rows), _point(row, layout.columns)): row for row in rows}
    notes: dict[str, str] = {}
    table_rows = tuple(
        TableRow(
            block.label,
            _row_label(layout, line),
            tuple(_value(places.get((line, column)), block.name, notes) for column in columns),
            any(layout.emphasised(row) for row in rows if _point(row, layout.rows) == line),
        )
        for block in layout.metrics
        for line in lines
    )
    which = ", ".join(f"{axis} {layout.named(axis, value)}" for axis, value in zip(varying, page, strict=True))
    headers = tuple(_headers(layout, column) for column in columns)
    footnotes = tuple(f"({mark}) {reason}" for reason, mark in notes.items())
    return Table(f"{layout.title} ({which})" if which else layout.title, headers, table_rows, footnotes, layout.caption)


def _headers(layout: Layout, column: Point) -> tuple[str, ...]:
    return tuple(layout.named(axis, value) for axis, value in zip(layout.columns, column, strict=True))


def _ordered(rows: Sequence[Row], layout: Layout, axes: Sequence[str]) -> list[Point]:
    """Returns the distinct points of some axes, each axis in the layout's order, then as it came."""
    ranks: list[Callable[[str | int], int]] = []
    for axis in axes:
        seen = list(dict.fromkeys(str(getattr(row, axis)) for row in rows))
        listed = [value for value in layout.order.get(axis, ()) if value in seen]
        order = [*listed, *(value for value in seen if value not in listed)]
        ranks.append(lambda value, order=order: order.index(str(value)))  # type: ignore[misc]  # a default binds it now
    points = dict.fromkeys(_point(row, axes) for row in rows)
    return sorted(points, key=lambda point: [rank(value) for rank, value in zip(ranks, point, strict=True)])


def _row_label(layout: Layout, line: Point) -> str:
    """Returns a row's name as the papers write it: `original`, `DHTA`, `RetPur` or `RetPur-DHTA`, then other axes."""
    told = dict(zip(layout.rows, line, strict=True))
    attack, defense = told.pop("attack", "none"), told.pop("defense", "none")
    pieces = [layout.named("defense", defense)] if defense != "none" else []
    pieces += [layout.named("attack", attack)] if attack != "none" else []
    rest = [layout.named(axis, value) for axis, value in told.items() if value not in ("", "none")]
    return " ".join(["-".join(pieces) or layout.named("attack", "none"), *rest])


def _value(row: Row | None, metric: str, notes: dict[str, str]) -> Value:
    if row is None or row.status == "missing":
        return Value(None, "missing")
    if row.status == "done":
        return Value(row.metrics.get(metric), "" if metric in row.metrics else "missing")
    reason = f"{row.status}: {row.reason}"
    return Value(None, notes.setdefault(reason, chr(ord("a") + len(notes) % 26)))
