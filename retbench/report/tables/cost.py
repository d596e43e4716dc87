"""What the images of a table's rows took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from retbench.report.tables.layout import Layout
from retbench.report.tables.page import Point, ordered_points, point_of, row_label
from retbench.report.tables.table import CostLine
from retbench.results import Row

MEMORY = ("attack_peak_memory", "defense_peak_memory")


def cost_lines(rows: Sequence[Row], layout: Layout) -> tuple[CostLine, ...]:
    """Returns for each line of a table what its images took, the least and the most of its cells.

    A line whose queries were neither attacked nor purified, or whose steps are gone, is left out.
    """
    lines: dict[Point, list[Row]] = {point: [] for point in ordered_points(rows, layout, layout.rows)}
    for row in rows:
        lines[point_of(row, layout.rows)].append(row)
    told = []
    for point, mine in lines.items():
        spans = (_span(mine, "attack_seconds_per_query"), _span(mine, "defense_seconds_per_query"))
        if any(spans):
            told.append(CostLine(row_label(layout, point) or "none", *spans, _span(mine, *MEMORY)))
    return tuple(told)


def _span(rows: Sequence[Row], *names: str) -> tuple[float, float] | None:
    found = [cast(float, row.cost[name]) for row in rows for name in names if name in row.cost]
    return (min(found), max(found)) if found else None
