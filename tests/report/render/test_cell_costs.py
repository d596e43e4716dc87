"""Costs as printed."""

from __future__ import annotations

from retbench.report.render.cell import COST_HEADERS, format_costs
from retbench.report.tables.table import Table


def test_costs_are_ranges_single_numbers_and_dashes(table: Table) -> None:
    assert format_costs(table) == [
        ("original", "0.0210 to 0.0340", "\u2013", "1024"),
        ("RetPur", "0.0210", "1.50 to 12.2", "\u2013"),
    ]
    assert {len(line) for line in format_costs(table)} == {len(COST_HEADERS)}


def test_a_table_without_costs_has_no_cost_lines(table: Table) -> None:
    assert format_costs(table._replace(costs=())) == []
