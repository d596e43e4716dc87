"""MAP that defenses recover, and their costs, against hand-computed differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from retbench.metrics import paired_difference
from retbench.report.figures.panel_data import PanelData, group_rows
from retbench.report.figures.tradeoff import robustness_panel, seconds_panel
from retbench.report.tables.layout import printed_name
from retbench.results import Evidence

Make = Callable[..., Evidence]
CELLS: dict[tuple[str, str], dict[str, Any]] = {
    ("none", "none"): {"at": 0.85},
    ("dhta", "none"): {"at": 0.1},
    ("none", "retpur"): {"at": 0.8},
    ("dhta", "retpur"): {"at": 0.6, "cost": {"defense_seconds_per_query": 0.25}},
}


def panel_data(collected: Evidence, *, swept: bool = False) -> PanelData:
    (group,) = group_rows(collected, printed_name, swept=swept)
    return group.panels[0]


def difference_in_points(collected: Evidence, first: str, second: str) -> float:
    return 100 * float((collected.scores(first)["map"] - collected.scores(second)["map"]).mean())


def test_a_point_has_the_map_lost_and_recovered(evidence: Make) -> None:
    collected = evidence(CELLS)
    panel = robustness_panel(panel_data(collected))
    assert panel is not None
    (point,) = panel.points
    assert (point.marker_group, point.color_group) == ("DHTA", "RetPur")
    assert point.x.value == pytest.approx(difference_in_points(collected, "key0", "key2"))
    assert point.y.value == pytest.approx(difference_in_points(collected, "key3", "key1"))
    gain = f"largest gain {point.y.value:.1f} points, by RetPur under DHTA"
    assert panel.summary == f"{gain}, at {point.x.value:.2f} points of clean MAP"


def test_bars_are_intervals_of_paired_differences_clustered_under_a_targeted_attack(evidence: Make) -> None:
    collected = evidence(CELLS)
    panel = robustness_panel(panel_data(collected))
    assert panel is not None
    first, second = collected.scores("key3"), collected.scores("key1")
    interval = paired_difference(first["map"], second["map"], clusters=first["cluster"], resamples=200)
    assert tuple(panel.points[0].y) == pytest.approx([100 * bound for bound in interval])
    clean = paired_difference(collected.scores("key0")["map"], collected.scores("key2")["map"], resamples=200)
    assert tuple(panel.points[0].x) == pytest.approx([100 * bound for bound in clean])


@pytest.mark.parametrize("missing", [cell for cell in CELLS if cell != ("dhta", "retpur")])
def test_a_defense_without_a_baseline_is_left_out(evidence: Make, missing: tuple[str, str]) -> None:
    data = panel_data(evidence({cell: entries for cell, entries in CELLS.items() if cell != missing}))
    assert robustness_panel(data) is None
    assert (seconds_panel(data) is None) == (missing == ("dhta", "none"))


def test_rows_of_different_queries_are_not_compared(evidence: Make) -> None:
    fewer = {"map": torch.full((5,), 0.5, dtype=torch.float64)}
    assert robustness_panel(panel_data(evidence({**CELLS, ("dhta", "none"): {"values": fewer}}))) is None


def test_seconds_are_those_of_the_defense_at_query_time(evidence: Make) -> None:
    panel = seconds_panel(panel_data(evidence(CELLS)))
    assert panel is not None
    assert tuple(panel.points[0].x) == (0.25, 0.25, 0.25)
    assert panel.summary.endswith("at 0.25 s per image")


def test_a_defense_without_work_at_query_time_takes_0_seconds(evidence: Make) -> None:
    panel = seconds_panel(panel_data(evidence({**CELLS, ("dhta", "retpur"): {}})))
    assert panel is not None
    assert panel.points[0].x.value == 0


@pytest.mark.parametrize("stage", ["purify", "certify", None])
def test_a_defense_with_unknown_seconds_is_left_out(evidence: Make, stage: str | None) -> None:
    collected = evidence({**CELLS, ("dhta", "retpur"): {}})
    steps = {key: step for key, step in collected.steps.items() if key != "key3"}
    if stage:
        steps["key3"] = collected.steps["key3"]._replace(stage=stage)
    assert seconds_panel(panel_data(replace(collected, steps=steps))) is None


def test_a_swept_defense_is_compared_with_unswept_rows(evidence: Make) -> None:
    swept = {
        cell: {**entries, "variant": "t_p=5"} if cell[1] == "retpur" else entries for cell, entries in CELLS.items()
    }
    panel = robustness_panel(panel_data(evidence(swept), swept=True))
    assert panel is not None
    assert [(point.marker_group, point.color_group) for point in panel.points] == [("DHTA", "RetPur t_p=5")]
