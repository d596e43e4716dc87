"""The pages of a layout, and the names of their rows and columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from retbench.report.tables.layout import Layout
from retbench.results import ROW_AXES, Row

AxisValues = tuple[str | int, ...]


class TablePage(NamedTuple):
    """The rows that one table shows, and its title."""

    title: str
    rows: tuple[Row, ...]


def split_pages(rows: Sequence[Row], layout: Layout) -> list[TablePage]:
    """Return one page for each combination of values of the axes that vary and are neither rows nor columns."""
    free = [axis for axis in ROW_AXES if axis not in (*layout.columns, *layout.rows)]
    varying = [axis for axis in free if len({getattr(row, axis) for row in rows}) > 1]
    pages: dict[AxisValues, list[Row]] = {}
    for row in rows:
        pages.setdefault(axis_values(row, varying), []).append(row)
    return [TablePage(_title(layout, varying, values), tuple(shown)) for values, shown in pages.items()]


def _title(layout: Layout, varying: Sequence[str], values: AxisValues) -> str:
    named = ((axis, layout.printed_name(axis, value) or "none") for axis, value in zip(varying, values, strict=True))
    page = ", ".join(f"{axis} {name}" for axis, name in named)
    return f"{layout.title} ({page})" if page else layout.title


def axis_values(row: Row, axes: Iterable[str]) -> AxisValues:
    """Return the values of a row on some axes."""
    return tuple(getattr(row, axis) for axis in axes)


def ordered_axis_values(rows: Iterable[Row], layout: Layout, axes: Sequence[str]) -> list[AxisValues]:
    """Return the distinct values of rows on some axes, each axis in the layout's order, then in the order of rows."""
    rows = list(rows)
    ranks: list[Callable[[str | int], int]] = []
    for axis in axes:
        present = list(dict.fromkeys(str(getattr(row, axis)) for row in rows))
        listed = [value for value in layout.order.get(axis, ()) if value in present]
        order = [*listed, *(value for value in present if value not in listed)]
        ranks.append(lambda value, order=order: order.index(str(value)))  # type: ignore[misc]  # a default binds it now
    distinct = dict.fromkeys(axis_values(row, axes) for row in rows)
    return sorted(distinct, key=lambda values: [rank(value) for rank, value in zip(ranks, values, strict=True)])


def column_headers(layout: Layout, column: AxisValues) -> tuple[str, ...]:
    """Return a column's headers, outermost first."""
    return tuple(layout.printed_name(axis, value) for axis, value in zip(layout.columns, column, strict=True))


def row_label(layout: Layout, values: AxisValues, without: str = "") -> str:
    """Return a row's name as the papers write it: `original`, `DHTA`, `RetPur` or `RetPur-DHTA`, then other axes.

    Where the layout does not compound names, an attacked row behind a defense is called `RetPur`. If neither attack
    nor defense is an axis of the rows, the name consists of the other axes, and may be empty. If only defenses are, a
    row without one has the layout's name of the defense `none`.

    Args:
        layout: the layout.
        values: of the axes of its rows.
        without: an axis that heads the blocks and is not repeated in the name.
    """
    named = {axis: value for axis, value in zip(layout.rows, values, strict=True) if axis != without}
    rest = [layout.printed_name(axis, value) for axis, value in named.items() if axis not in ("attack", "defense")]
    rest = [name for name in rest if name not in ("", "none")]
    if "attack" not in named and "defense" not in named:
        return " ".join(rest)
    attack, defense = named.get("attack", "none"), named.get("defense", "none")
    pieces = [layout.printed_name("defense", defense)] if defense != "none" else []
    if attack != "none" and (layout.compound or not pieces):
        alone = layout.printed_name("attack", attack)
        pieces.append(layout.joined.get("attack", {}).get(str(attack), alone) if pieces else alone)
    neither = layout.printed_name("attack" if "attack" in named else "defense", "none")
    return " ".join(["-".join(pieces) or neither, *rest])
