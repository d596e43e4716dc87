"""The pages of a layout, and what their rows and columns are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from retbench.report.tables.layout import Layout
from retbench.results import ROW_AXES, Row

Point = tuple[str | int, ...]


class Page(NamedTuple):
    """The rows that one table shows, and its title."""

    title: str
    rows: tuple[Row, ...]


def paginate(rows: Sequence[Row], layout: Layout) -> list[Page]:
    """Return one page, or one for each combination of the axes that vary and are not laid out."""
    free = [axis for axis in ROW_AXES if axis not in (*layout.columns, *layout.rows)]
    varying = [axis for axis in free if len({getattr(row, axis) for row in rows}) > 1]
    pages: dict[Point, list[Row]] = {}
    for row in rows:
        pages.setdefault(point_of(row, varying), []).append(row)
    return [Page(_title(layout, varying, point), tuple(shown)) for point, shown in pages.items()]


def _title(layout: Layout, varying: Sequence[str], point: Point) -> str:
    named = ((axis, layout.named(axis, value) or "none") for axis, value in zip(varying, point, strict=True))
    which = ", ".join(f"{axis} {name}" for axis, name in named)
    return f"{layout.title} ({which})" if which else layout.title


def point_of(row: Row, axes: Iterable[str]) -> Point:
    """Return the values of a row on some axes."""
    return tuple(getattr(row, axis) for axis in axes)


def ordered_points(rows: Iterable[Row], layout: Layout, axes: Sequence[str]) -> list[Point]:
    """Return the distinct points of some axes, each axis in the layout's order, then as it came."""
    rows = list(rows)
    ranks: list[Callable[[str | int], int]] = []
    for axis in axes:
        seen = list(dict.fromkeys(str(getattr(row, axis)) for row in rows))
        listed = [value for value in layout.order.get(axis, ()) if value in seen]
        order = [*listed, *(value for value in seen if value not in listed)]
        ranks.append(lambda value, order=order: order.index(str(value)))  # type: ignore[misc]  # a default binds it now
    points = dict.fromkeys(point_of(row, axes) for row in rows)
    return sorted(points, key=lambda point: [rank(value) for rank, value in zip(ranks, point, strict=True)])


def column_names(layout: Layout, column: Point) -> tuple[str, ...]:
    """Return a column's headers, outermost first."""
    return tuple(layout.named(axis, value) for axis, value in zip(layout.columns, column, strict=True))


def row_label(layout: Layout, line: Point, without: str = "") -> str:
    """Return a row's name as the papers write it: `original`, `DHTA`, `RetPur` or `RetPur-DHTA`, then other axes.

    An axis that heads the blocks, `without`, is not named again.

    Where the layout does not compound, the last is `RetPur`. Where neither attack nor defense names rows, the other
    axes do alone; an empty text where they name nothing. Where attacks are in the columns, a row without a defense is
    called as the layout calls `none` among defenses.
    """
    named = {axis: value for axis, value in zip(layout.rows, line, strict=True) if axis != without}
    rest = [layout.named(axis, value) for axis, value in named.items() if axis not in ("attack", "defense")]
    rest = [name for name in rest if name not in ("", "none")]
    if "attack" not in named and "defense" not in named:
        return " ".join(rest)
    attack, defense = named.get("attack", "none"), named.get("defense", "none")
    pieces = [layout.named("defense", defense)] if defense != "none" else []
    if attack != "none" and (layout.compound or not pieces):
        alone = layout.named("attack", attack)
        pieces.append(layout.joined.get("attack", {}).get(str(attack), alone) if pieces else alone)
    nothing = layout.named("attack" if "attack" in named else "defense", "none")
    return " ".join(["-".join(pieces) or nothing, *rest])
