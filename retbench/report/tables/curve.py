"""From a page's rows to lines over a swept option, by a layout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from retbench.errors import LayoutError
from retbench.metrics import Interval
from retbench.report.tables.layout import Layout, MetricBlock, Sweep
from retbench.report.tables.page import Page, column_names, ordered_points, point_of, row_label
from retbench.report.tables.pattern import matches, settings_of
from retbench.report.tables.unit import Unit
from retbench.results import Row


class Reading(NamedTuple):
    """One number of a line: its x, and its interval in 0..1."""

    x: float
    interval: Interval


class Line(NamedTuple):
    """The numbers of one row label, from the lowest x up."""

    label: str
    readings: tuple[Reading, ...]


class Level(NamedTuple):
    """A number that does not depend on x, in 0..1."""

    label: str
    interval: Interval


class Panel(NamedTuple):
    """One metric: its lines, none of them empty, and the levels that they are compared with."""

    label: str
    unit: Unit
    lines: tuple[Line, ...]
    levels: tuple[Level, ...]


class Curve(NamedTuple):
    """A page as a picture: one panel for each metric, over one option."""

    title: str
    x_label: str
    scale: Literal["linear", "log"]
    panels: tuple[Panel, ...]


class _Swept(NamedTuple):
    """A row at its x; `row` has the rest of the variant, so that rows of one line are alike on all axes."""

    x: float
    row: Row


def check_sweep(shown: Iterable[Row], rows: Iterable[Row], layout: Layout) -> None:
    """Raise LayoutError where no row shown sweeps the option of a layout's curve, or a value of it is no number.

    The message names the options that any of the `rows` sweeps.
    """
    if layout.curve is None:
        return
    if not [row for row in shown if _swept(row, layout, layout.curve)]:
        names = sorted({name for row in rows for name, _ in settings_of(row.variant)})
        expected = f"one of {', '.join(names)}" if names else "a suite that sweeps it"
        raise LayoutError(
            f"{_where(layout)}: no row sweeps this option: got {layout.curve.option!r}, expected {expected}"
        )


def trace(page: Page, layout: Layout) -> Curve | None:
    """Return a page as lines over the option of the layout's curve; None where there is no number to draw.

    A cell without a number is left out of its line, and a line without one is left out of its panel. A level is a row
    that matches a reference and does not sweep the option.
    """
    if layout.curve is None:
        return None
    found = [(row, _swept(row, layout, layout.curve)) for row in page.rows]
    swept = [at for _, at in found if at is not None]
    fixed = [row for row, at in found if at is None]
    varying = _varying([*(at.row for at in swept), *fixed], layout)
    panels = tuple(
        Panel(
            block.label,
            block.unit,
            tuple(_lines(swept, layout, block, varying)),
            tuple(_levels(fixed, layout, layout.curve, block, varying)),
        )
        for block in layout.metrics
    )
    if not any(panel.lines for panel in panels):
        return None
    return Curve(page.title, layout.curve.label or layout.curve.option, layout.curve.scale, panels)


def _lines(swept: Sequence[_Swept], layout: Layout, block: MetricBlock, varying: Sequence[int]) -> Iterator[Line]:
    axes = (*layout.rows, *layout.columns)
    for point in ordered_points([at.row for at in swept], layout, axes):
        mine = [at for at in swept if point_of(at.row, axes) == point]
        readings = [Reading(at.x, number) for at in mine if (number := _number(at.row, block)) is not None]
        if readings:
            label = _joined(_label(mine[0].row, layout), *_headers(mine[0].row, layout, varying))
            yield Line(label, tuple(sorted(readings, key=lambda reading: reading.x)))


def _levels(
    fixed: Sequence[Row], layout: Layout, curve: Sweep, block: MetricBlock, varying: Sequence[int]
) -> Iterator[Level]:
    for reference in curve.reference:
        rows = [row for row in fixed if matches(reference.rows, row)]
        several = len({point_of(row, layout.rows) for row in rows}) > 1
        for row in rows:
            if (number := _number(row, block)) is not None:
                own = [_label(row, layout)] if several or not reference.label else []
                yield Level(_joined(reference.label, *own, *_headers(row, layout, varying)), number)


def _label(row: Row, layout: Layout) -> str:
    return row_label(layout, point_of(row, layout.rows))


def _headers(row: Row, layout: Layout, varying: Sequence[int]) -> list[str]:
    headers = column_names(layout, point_of(row, layout.columns))
    return [headers[at] for at in varying]


def _joined(*pieces: str) -> str:
    return " ".join(piece for piece in pieces if piece)


def _varying(rows: Sequence[Row], layout: Layout) -> list[int]:
    """Return the levels of the column headers that differ between columns."""
    levels = zip(*(point_of(row, layout.columns) for row in rows), strict=True)
    return [at for at, values in enumerate(levels) if len(set(values)) > 1]


def _number(row: Row, block: MetricBlock) -> Interval | None:
    interval = row.metrics.get(block.name) if row.status == "done" else None
    return None if interval is None or math.isnan(interval.value) else interval


def _swept(row: Row, layout: Layout, curve: Sweep) -> _Swept | None:
    """Return a row at its x; None for one that does not sweep the option."""
    settings = settings_of(row.variant)
    names = curve.named_in(row.variant)
    if not names:
        return None
    if len(names) > 1:
        expected = f"one of {', '.join(names)}"
        raise LayoutError(f"{_where(layout)}: several axes sweep it: got {curve.option!r}, expected {expected}")
    rest = ",".join(f"{name}={value}" for name, value in settings if name != names[0])
    return _Swept(_coordinate(names[0], dict(settings)[names[0]], layout), replace(row, variant=rest))


def _coordinate(option: str, text: str, layout: Layout) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise LayoutError(f"{_where(layout)}: a value of {option} is not on a line: got {text!r}, expected a number")
    return number


def _where(layout: Layout) -> str:
    return f"layout {layout.title!r}: curve"
