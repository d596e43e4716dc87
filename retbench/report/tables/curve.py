"""Turns the rows of a page into lines over a swept option, by a layout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from retbench.errors import LayoutError
from retbench.metrics import Interval
from retbench.report.tables.layout import Layout, MetricBlock, SweepCurve
from retbench.report.tables.page import TablePage, axis_values, column_headers, ordered_axis_values, row_label
from retbench.report.tables.pattern import matches, swept_options
from retbench.report.tables.unit import Unit
from retbench.results import Row


class CurvePoint(NamedTuple):
    """One number of a line: its x, and its interval in 0..1."""

    x: float
    interval: Interval


class CurveLine(NamedTuple):
    """The numbers of one row label, in ascending order of x."""

    label: str
    points: tuple[CurvePoint, ...]


class CurveReference(NamedTuple):
    """A number that does not depend on x, in 0..1."""

    label: str
    interval: Interval


class CurvePanel(NamedTuple):
    """One metric: its lines, none of them empty, and the reference numbers that they are compared with."""

    label: str
    unit: Unit
    lines: tuple[CurveLine, ...]
    references: tuple[CurveReference, ...]


class Curve(NamedTuple):
    """A page as lines over one option, with one panel for each metric."""

    title: str
    x_label: str
    scale: Literal["linear", "log"]
    panels: tuple[CurvePanel, ...]


class _SweptRow(NamedTuple):
    """A row and its x; the row's variant lacks the swept option, so that rows of one line agree on all axes."""

    x: float
    row: Row


def check_sweep(shown: Iterable[Row], rows: Iterable[Row], layout: Layout) -> None:
    """Check that a row shown sweeps the option of a layout's curve, over numbers only.

    Raises:
        LayoutError: no row shown sweeps it, or one of its values is not a number; the message lists the options that
            any of the `rows` sweeps.
    """
    if layout.curve is None:
        return
    if not [row for row in shown if _swept_row(row, layout, layout.curve)]:
        names = sorted({name for row in rows for name, _ in swept_options(row.variant)})
        expected = f"one of {', '.join(names)}" if names else "a suite that sweeps it"
        raise LayoutError(
            f"{_location(layout)}: no row sweeps this option: got {layout.curve.option!r}, expected {expected}"
        )


def make_curve(page: TablePage, layout: Layout) -> Curve | None:
    """Return a page as lines over the option of the layout's curve; None if there is no number to draw.

    Cells without a number are left out of their line, and empty lines out of their panel. References are the rows that
    match a reference pattern of the layout and do not sweep the option.
    """
    if layout.curve is None:
        return None
    candidates = [(row, _swept_row(row, layout, layout.curve)) for row in page.rows]
    swept = [each for _, each in candidates if each is not None]
    fixed = [row for row, each in candidates if each is None]
    varying = _varying_levels([*(each.row for each in swept), *fixed], layout)
    panels = tuple(
        CurvePanel(
            block.label,
            block.unit,
            tuple(_lines(swept, layout, block, varying)),
            tuple(_references(fixed, layout, layout.curve, block, varying)),
        )
        for block in layout.metrics
    )
    if not any(panel.lines for panel in panels):
        return None
    return Curve(page.title, layout.curve.label or layout.curve.option, layout.curve.scale, panels)


def _lines(
    swept: Sequence[_SweptRow], layout: Layout, block: MetricBlock, varying: Sequence[int]
) -> Iterator[CurveLine]:
    axes = (*layout.rows, *layout.columns)
    for values in ordered_axis_values([each.row for each in swept], layout, axes):
        members = [each for each in swept if axis_values(each.row, axes) == values]
        points = [CurvePoint(each.x, number) for each in members if (number := _number(each.row, block)) is not None]
        if points:
            label = _joined(_label(members[0].row, layout), *_headers(members[0].row, layout, varying))
            yield CurveLine(label, tuple(sorted(points, key=lambda point: point.x)))


def _references(
    fixed: Sequence[Row], layout: Layout, curve: SweepCurve, block: MetricBlock, varying: Sequence[int]
) -> Iterator[CurveReference]:
    for reference in curve.reference:
        rows = [row for row in fixed if matches(reference.rows, row)]
        several = len({axis_values(row, layout.rows) for row in rows}) > 1
        for row in rows:
            if (number := _number(row, block)) is not None:
                row_labels = [_label(row, layout)] if several or not reference.label else []
                yield CurveReference(_joined(reference.label, *row_labels, *_headers(row, layout, varying)), number)


def _label(row: Row, layout: Layout) -> str:
    return row_label(layout, axis_values(row, layout.rows))


def _headers(row: Row, layout: Layout, levels: Sequence[int]) -> list[str]:
    headers = column_headers(layout, axis_values(row, layout.columns))
    return [headers[level] for level in levels]


def _joined(*pieces: str) -> str:
    return " ".join(piece for piece in pieces if piece)


def _varying_levels(rows: Sequence[Row], layout: Layout) -> list[int]:
    """Return the levels of the column headers that differ between columns."""
    levels = zip(*(axis_values(row, layout.columns) for row in rows), strict=True)
    return [level for level, values in enumerate(levels) if len(set(values)) > 1]


def _number(row: Row, block: MetricBlock) -> Interval | None:
    interval = row.metrics.get(block.name) if row.status == "done" else None
    return None if interval is None or math.isnan(interval.value) else interval


def _swept_row(row: Row, layout: Layout, curve: SweepCurve) -> _SweptRow | None:
    """Return a row with its x; None if the row does not sweep the option."""
    options = swept_options(row.variant)
    names = curve.option_names(row.variant)
    if not names:
        return None
    if len(names) > 1:
        expected = f"one of {', '.join(names)}"
        raise LayoutError(f"{_location(layout)}: several axes sweep it: got {curve.option!r}, expected {expected}")
    rest = ",".join(f"{name}={value}" for name, value in options if name != names[0])
    return _SweptRow(_coordinate(names[0], dict(options)[names[0]], layout), replace(row, variant=rest))


def _coordinate(option: str, text: str, layout: Layout) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise LayoutError(
            f"{_location(layout)}: a value of {option} cannot be drawn: got {text!r}, expected a finite number"
        )
    return number


def _location(layout: Layout) -> str:
    return f"layout {layout.title!r}: curve"
