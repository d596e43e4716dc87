"""What defenses recover and cost, against differences by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from retbench.metrics import paired_difference
from retbench.report.figures.setting import Setting, group_rows
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


def setting_of(made: Evidence, *, swept: bool = False) -> Setting:
    (group,) = group_rows(made, printed_name, swept=swept)
    return group.settings[0]


def points(made: Evidence, first: str, second: str) -> float:
    return 100 * float((made.scores(first)["map"] - made.scores(second)["map"]).mean())


def test_a_mark_stands_at_the_points_lost_and_recovered(evidence: Make) -> None:
    made = evidence(CELLS)
    panel = robustness_panel(setting_of(made))
    assert panel is not None
    (spot,) = panel.spots
    assert (spot.mark, spot.hue) == ("DHTA", "RetPur")
    assert spot.x.value == pytest.approx(points(made, "key0", "key2"))
    assert spot.y.value == pytest.approx(points(made, "key3", "key1"))
    told = f"{spot.y.value:.1f} points, by RetPur under DHTA, for {spot.x.value:.2f} points of clean MAP"
    assert panel.summary == f"the most is {told}"


def test_its_bars_are_those_of_paired_differences_clustered_under_a_targeted_attack(evidence: Make) -> None:
    made = evidence(CELLS)
    panel = robustness_panel(setting_of(made))
    assert panel is not None
    first, second = made.scores("key3"), made.scores("key1")
    interval = paired_difference(first["map"], second["map"], clusters=first["cluster"], resamples=200)
    assert tuple(panel.spots[0].y) == pytest.approx([100 * part for part in interval])
    clean = paired_difference(made.scores("key0")["map"], made.scores("key2")["map"], resamples=200)
    assert tuple(panel.spots[0].x) == pytest.approx([100 * part for part in clean])


@pytest.mark.parametrize("gone", [cell for cell in CELLS if cell != ("dhta", "retpur")])
def test_a_defense_without_something_to_compare_with_is_left_out(evidence: Make, gone: tuple[str, str]) -> None:
    setting = setting_of(evidence({cell: told for cell, told in CELLS.items() if cell != gone}))
    assert robustness_panel(setting) is None
    assert (seconds_panel(setting) is None) == (gone == ("dhta", "none"))


def test_other_queries_are_not_compared(evidence: Make) -> None:
    fewer = {"map": torch.full((5,), 0.5, dtype=torch.float64)}
    assert robustness_panel(setting_of(evidence({**CELLS, ("dhta", "none"): {"values": fewer}}))) is None


def test_seconds_are_the_defenses_at_query_time(evidence: Make) -> None:
    panel = seconds_panel(setting_of(evidence(CELLS)))
    assert panel is not None
    assert tuple(panel.spots[0].x) == (0.25, 0.25, 0.25)
    assert panel.summary.endswith("for 0.25 s an image")


def test_what_does_nothing_at_query_time_takes_no_seconds(evidence: Make) -> None:
    panel = seconds_panel(setting_of(evidence({**CELLS, ("dhta", "retpur"): {}})))
    assert panel is not None
    assert panel.spots[0].x.value == 0


@pytest.mark.parametrize("stage", ["purify", "certify", None])
def test_lost_seconds_are_not_taken_for_none(evidence: Make, stage: str | None) -> None:
    made = evidence({**CELLS, ("dhta", "retpur"): {}})
    steps = {key: step for key, step in made.steps.items() if key != "key3"}
    if stage:
        steps["key3"] = made.steps["key3"]._replace(stage=stage)
    assert seconds_panel(setting_of(replace(made, steps=steps))) is None


def test_a_swept_defense_is_compared_with_rows_that_do_not_sweep(evidence: Make) -> None:
    swept = {cell: {**told, "variant": "t_p=5"} if cell[1] == "retpur" else told for cell, told in CELLS.items()}
    panel = robustness_panel(setting_of(evidence(swept), swept=True))
    assert panel is not None
    assert [(spot.mark, spot.hue) for spot in panel.spots] == [("DHTA", "RetPur t_p=5")]
