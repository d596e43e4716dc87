"""What the images of a table's rows took, as printed."""

from __future__ import annotations

from retbench.report.render.cell import DASH, between
from retbench.report.tables.table import Table
from retbench.report.tables.unit import Unit

COST_HEADERS = ("Cost per image", "attack (s)", "defense (s)", "peak memory (MiB)")


def cost_lines(table: Table) -> list[tuple[str, str, str, str]]:
    """Returns label, seconds of attack and defense, and peak memory of each row; empty where nothing was computed."""
    return [
        (
            cost.label,
            _range(cost.attack, Unit.SECONDS),
            _range(cost.defense, Unit.SECONDS),
            _range(cost.memory, Unit.MEBIBYTES),
        )
        for cost in table.costs
    ]


def _range(ends: tuple[float, float] | None, unit: Unit) -> str:
    return between([unit.scale * end for end in ends], unit) if ends else DASH
