"""Costs as printed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.console import Console

from retbench.report import Report
from retbench.report.render import as_html, as_latex, console_table, markdown_table
from retbench.report.render.cell import COST_HEADERS, cost_headers, format_costs
from retbench.report.tables.table import CostLine, Table


def printed_table(table: Table) -> str:
    """Return a table as a terminal prints it."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(console_table(table))
    return capture.get()


def html_table(table: Table) -> str:
    """Return a table in a page."""
    return as_html(Report("r", "", (table,)))


def latex_report(table: Table) -> str:
    """Return a table in a LaTeX document."""
    return as_latex((table,), "r")


def test_costs_are_ranges_single_numbers_and_dashes(table: Table) -> None:
    assert format_costs(table) == [
        ("original", "0.0210 to 0.0340", "\u2013", "1024", "\u2013"),
        ("RetPur", "0.0210", "1.50 to 12.2", "\u2013", "4.08 to 15.30"),
    ]
    assert {len(line) for line in format_costs(table)} == {len(COST_HEADERS)}


def test_a_table_without_costs_has_no_cost_lines(table: Table) -> None:
    assert format_costs(table._replace(costs=())) == []


def test_access_and_queries_are_columns_if_an_attack_is_black_box(table: Table) -> None:
    white, black = CostLine("P2P", None, None, None, "gradient"), CostLine("Square", None, None, None, "score", (9, 20))
    printed = format_costs(table._replace(costs=(*table.costs[:1], white, black)))
    assert [line[5:] for line in printed] == [("\u2013", "\u2013"), ("gradient", "\u2013"), ("score", "9.0 to 20.0")]
    assert cost_headers(table._replace(costs=(white, black))) == (*COST_HEADERS, "access", "queries")
    assert cost_headers(table._replace(costs=(white,))) == COST_HEADERS


@pytest.mark.parametrize("render", [markdown_table, latex_report, html_table, printed_table])
def test_every_format_prints_access_and_queries(table: Table, render: Callable[[Table], str]) -> None:
    costs = (CostLine("Square", None, None, None, "decision", (312.25, 312.25)),)
    printed = render(table._replace(costs=costs))
    assert "decision" in printed
    assert "312.2" in printed
    assert "decision" not in render(table)
