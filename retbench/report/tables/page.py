"""The pages of a layout, and what their rows and columns are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from retbench.report.tables.layout import Layout
from retbench.report.tables.pattern import AXES
from retbench.results import Row

Point = tuple[str | int, ...]


class Page(NamedTuple):
    """The rows that one table shows, and its title."""

    title: str
    rows: tuple[Row, ...]


def paginate(rows: Sequence[Row], layout: Layout) -> list[Page]:
    """Returns one page, or one for each combination of the axes that vary and are not laid out."""
    free = [axis for axis in AXES if axis not in (*layout.columns, *layout.rows)]
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
    """Returns where a row stands on some axes."""
    return tuple(getattr(row, axis) for axis in axes)


def ordered_points(rows: Iterable[Row], layout: Layout, axes: Sequence[str]) -> list[Point]:
    """Returns the distinct points of some axes, each axis in the layout's order, then as it came."""
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
    """Returns a column's headers, outermost first."""
    return tuple(layout.named(axis, value) for axis, value in zip(layout.columns, column, strict=True))


def row_label(layout: Layout, line: Point, without: str = "") -> str:
    """Returns a row's name as the papers write it: `original`, `DHTA`, `RetPur` or `RetPur-DHTA`, then other axes.

    An axis that heads the blocks, `without`, is not named again.

    Where the layout does not compound, the last is `RetPur`. Where neither attack nor defense names rows, the other
    axes do alone; an empty text where they name nothing. Where attacks stand in the columns, a row without a defense is
    called as the layout calls `none` among defenses.
    """
    told = {axis: value for axis, value in zip(layout.rows, line, strict=True) if axis != without}
    rest = [layout.named(axis, value) for axis, value in told.items() if axis not in ("attack", "defense")]
    rest = [name for name in rest if name not in ("", "none")]
    if "attack" not in told and "defense" not in told:
        return " ".join(rest)
    attack, defense = told.get("attack", "none"), told.get("defense", "none")
    pieces = [layout.named("defense", defense)] if defense != "none" else []
    if attack != "none" and (layout.compound or not pieces):
        alone = layout.named("attack", attack)
        pieces.append(layout.joined.get("attack", {}).get(str(attack), alone) if pieces else alone)
    nothing = layout.named("attack" if "attack" in told else "defense", "none")
    return " ".join(["-".join(pieces) or nothing, *rest])
