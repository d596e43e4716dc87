"""The cost of the images of a table's rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from retbench.metrics import Interval
from retbench.report import Layout
from retbench.report.tables.pivot import cost_lines
from retbench.report.tables.table import CostLine
from retbench.results import Row

Rows = Callable[..., Row]
LAYOUT = Layout(title="t", columns=("hasher",), metrics=({"name": "map", "label": "MAP"},))


def with_cost(row: Row, attack: float | None, defense: float | None = None, memory: int = 10) -> Row:
    """Return the row with seconds per image and peak memory; the defense takes twice the attack's memory."""
    costs = {"attack": (attack, memory), "defense": (defense, 2 * memory)}
    known = {name: each for name, each in costs.items() if each[0] is not None}
    cost = {f"{name}_seconds_per_query": seconds for name, (seconds, _) in known.items()}
    return replace(row, cost={**cost, **{f"{name}_peak_memory": peak for name, (_, peak) in known.items()}})


def test_a_cost_line_has_the_minimum_and_the_maximum_over_columns(row: Rows) -> None:
    rows = [
        with_cost(row("p2p", "retpur", 0.5, hasher="dph"), 0.5, 2.0, 10),
        with_cost(row("p2p", "retpur", 0.5, hasher="dpsh"), 0.25, 3.0, 40),
    ]
    assert cost_lines(rows, LAYOUT) == (CostLine("RetPur-P2P", (0.25, 0.5), (2.0, 3.0), (10, 80)),)


def test_a_cost_that_was_not_computed_is_none(row: Rows) -> None:
    attacked, purified = with_cost(row("p2p", "none", 0.5), 0.5), with_cost(row("none", "retpur", 0.5), None, 2.0)
    assert cost_lines([attacked, purified], LAYOUT) == (
        CostLine("P2P", (0.5, 0.5), None, (10, 10)),
        CostLine("RetPur", None, (2.0, 2.0), (20, 20)),
    )


def test_a_row_without_costs_is_left_out(row: Rows) -> None:
    assert cost_lines([row("none", "none", 0.5)], LAYOUT) == ()
    assert cost_lines([], LAYOUT) == ()


def test_a_cell_whose_steps_are_not_stored_is_left_out_of_its_cost_line(row: Rows) -> None:
    rows = [row("p2p", "none", 0.5, hasher="dph"), with_cost(row("p2p", "none", 0.5, hasher="dpsh"), 0.5)]
    assert cost_lines(rows, LAYOUT) == (CostLine("P2P", (0.5, 0.5), None, (10, 10)),)


def test_cost_lines_have_the_order_of_the_table(row: Rows) -> None:
    rows = [with_cost(row(attack, "none", 0.5), 0.5) for attack in ("dhta", "p2p")]
    ordered = LAYOUT.model_copy(update={"order": {"attack": ("p2p", "dhta")}})
    assert [line.label for line in cost_lines(rows, ordered)] == ["P2P", "DHTA"]


def test_a_row_has_the_access_and_the_queries_of_its_attacks(row: Rows) -> None:
    black = replace(row("p2p", "none", 0.5, hasher="dph"), budget={"goal": "targeted", "access": "decision"})
    metrics = {**black.metrics, "attack_queries": Interval(12.5, 10.0, 15.0)}
    white = with_cost(row("p2p", "none", 0.5, hasher="dpsh"), 0.5)
    assert cost_lines([replace(black, metrics=metrics)], LAYOUT) == (
        CostLine("P2P", None, None, None, "decision", (12.5, 12.5)),
    )
    (line,) = cost_lines([replace(white, budget={"goal": "targeted"}), replace(black, metrics=metrics)], LAYOUT)
    assert (line.access, line.queries) == ("gradient and decision", (12.5, 12.5))
