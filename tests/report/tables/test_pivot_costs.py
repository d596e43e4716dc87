"""What the images of a table's rows took."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from retbench.report import Layout
from retbench.report.tables.pivot import cost_lines
from retbench.report.tables.table import CostLine
from retbench.results import Row

Rows = Callable[..., Row]
LAYOUT = Layout(title="t", columns=("hasher",), metrics=({"name": "map", "label": "MAP"},))


def costly(row: Row, attack: float | None, defense: float | None = None, memory: int = 10) -> Row:
    """Return the row with seconds an image, and memory: the defense's twice the attack's."""
    told = {"attack": (attack, memory), "defense": (defense, 2 * memory)}
    taken = {name: each for name, each in told.items() if each[0] is not None}
    cost = {f"{name}_seconds_per_query": seconds for name, (seconds, _) in taken.items()}
    return replace(row, cost={**cost, **{f"{name}_peak_memory": most for name, (_, most) in taken.items()}})


def test_a_line_has_the_least_and_the_most_of_its_columns(row: Rows) -> None:
    rows = [
        costly(row("p2p", "retpur", 0.5, hasher="dph"), 0.5, 2.0, 10),
        costly(row("p2p", "retpur", 0.5, hasher="dpsh"), 0.25, 3.0, 40),
    ]
    assert cost_lines(rows, LAYOUT) == (CostLine("RetPur-P2P", (0.25, 0.5), (2.0, 3.0), (10, 80)),)


def test_what_was_not_computed_is_none(row: Rows) -> None:
    attacked, cleaned = costly(row("p2p", "none", 0.5), 0.5), costly(row("none", "retpur", 0.5), None, 2.0)
    assert cost_lines([attacked, cleaned], LAYOUT) == (
        CostLine("P2P", (0.5, 0.5), None, (10, 10)),
        CostLine("RetPur", None, (2.0, 2.0), (20, 20)),
    )


def test_a_line_that_cost_nothing_is_left_out(row: Rows) -> None:
    assert cost_lines([row("none", "none", 0.5)], LAYOUT) == ()
    assert cost_lines([], LAYOUT) == ()


def test_a_cell_whose_steps_are_gone_is_left_out_of_its_line(row: Rows) -> None:
    rows = [row("p2p", "none", 0.5, hasher="dph"), costly(row("p2p", "none", 0.5, hasher="dpsh"), 0.5)]
    assert cost_lines(rows, LAYOUT) == (CostLine("P2P", (0.5, 0.5), None, (10, 10)),)


def test_lines_stand_in_the_order_of_the_table(row: Rows) -> None:
    rows = [costly(row(attack, "none", 0.5), 0.5) for attack in ("dhta", "p2p")]
    ordered = LAYOUT.model_copy(update={"order": {"attack": ("p2p", "dhta")}})
    assert [line.label for line in cost_lines(rows, ordered)] == ["P2P", "DHTA"]
