"""Differences between two values of an axis, on the same queries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from retbench.errors import LayoutError
from retbench.metrics import paired_difference
from retbench.report.tables.layout import MetricBlock, PairedAxis
from retbench.report.tables.paired import pair_rows
from retbench.results import Evidence, Row, TieRange

Rows = Callable[..., Row]
Gather = Callable[..., Evidence]
GUIDANCE = PairedAxis(axis="defense", first="retpur", second="ddpm")
MAP = (MetricBlock(name="map", label="MAP"),)
FIRST, SECOND = [0.9, 0.5, 0.7, 0.3], [0.8, 0.6, 0.1, 0.4]


def doubles(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_pair_is_the_mean_difference_over_the_same_queries(scored: Rows, evidence: Gather) -> None:
    rows = [scored("dhta", "retpur", FIRST), scored("dhta", "ddpm", SECOND), scored("none", "retpur", FIRST)]
    (paired_row,) = pair_rows(evidence(rows), GUIDANCE, MAP)
    assert (paired_row.attack, paired_row.defense) == ("dhta", "retpur")
    assert paired_row.metrics["map"].value == pytest.approx(0.125)
    assert paired_row.metrics["map"] == paired_difference(doubles(FIRST), doubles(SECOND), resamples=300)


def test_queries_are_resampled_by_target_under_a_targeted_attack(scored: Rows, evidence: Gather) -> None:
    clusters = [0, 0, 1, 2]
    rows = [
        scored("dhta", name, values, clusters=clusters, goal="targeted")
        for name, values in (("retpur", FIRST), ("ddpm", SECOND))
    ]
    (paired_row,) = pair_rows(evidence(rows), GUIDANCE, MAP)
    expected = paired_difference(doubles(FIRST), doubles(SECOND), clusters=torch.tensor(clusters), resamples=300)
    assert paired_row.metrics["map"] == expected


def test_equal_seeds_are_paired_and_pooled(scored: Rows, evidence: Gather) -> None:
    firsts, seconds = [FIRST, SECOND], [SECOND, SECOND]
    rows = [
        scored("dhta", name, values, seed=seed)
        for name, by_seed in (("retpur", firsts), ("ddpm", seconds))
        for seed, values in enumerate(by_seed)
    ]
    (paired_row,) = pair_rows(evidence(rows), GUIDANCE, MAP)
    expected = paired_difference(
        doubles(firsts[0] + firsts[1]).view(2, 4), doubles(SECOND * 2).view(2, 4), resamples=300
    )
    assert paired_row.metrics["map"] == expected
    assert paired_row.metrics["map"].value == pytest.approx(0.0625)


def test_a_query_without_a_value_in_one_cell_is_left_out(scored: Rows, evidence: Gather) -> None:
    rows = [scored("dhta", "retpur", FIRST), scored("dhta", "ddpm", [0.8, math.nan, 0.1, 0.4])]
    (paired_row,) = pair_rows(evidence(rows), GUIDANCE, MAP)
    assert paired_row.metrics["map"].value == pytest.approx((0.1 + 0.6 - 0.1) / 3)


def test_a_pair_may_differ_in_a_numeric_axis(scored: Rows, evidence: Gather) -> None:
    rows = [scored("dhta", "none", values, bits=bits) for bits, values in ((64, FIRST), (32, SECOND))]
    (paired_row,) = pair_rows(evidence(rows), PairedAxis(axis="bits", first="64", second="32"), MAP)
    assert (paired_row.bits, paired_row.metrics["map"].value) == (64, pytest.approx(0.125))


@pytest.mark.parametrize("other", [{"hasher": "dph"}, {"bits": 16}, {"attack": "p2p"}, {"variant": "t_p=5"}])
def test_cells_that_differ_in_another_axis_are_not_a_pair(
    scored: Rows, evidence: Gather, other: dict[str, str | int]
) -> None:
    rows = [scored("dhta", "retpur", FIRST), scored(**{"attack": "dhta", "defense": "ddpm", "values": SECOND, **other})]
    assert pair_rows(evidence(rows), GUIDANCE, MAP) == []


@pytest.mark.parametrize(
    ("status", "reason"), [("failed", "NaN"), ("skipped", "no weights"), ("missing", ""), ("invalid", "too far")]
)
@pytest.mark.parametrize("undone", [0, 1])
def test_a_pair_with_a_cell_that_is_not_done_has_its_status(
    scored: Rows, evidence: Gather, status: Any, reason: str, undone: int
) -> None:
    rows = [scored("dhta", "retpur", FIRST), scored("dhta", "ddpm", SECOND)]
    rows[undone] = replace(rows[undone], status=status, reason=reason, metrics={})
    (paired_row,) = pair_rows(evidence(rows), GUIDANCE, MAP)
    assert (paired_row.attack, paired_row.defense, paired_row.status, paired_row.reason) == (
        "dhta",
        "retpur",
        status,
        reason,
    )
    assert paired_row.metrics == {}


@pytest.mark.parametrize("others", [["retpur"], ["ddpm"], ["retpu", "ddpm"], []])
def test_a_value_that_no_cell_has_is_an_error(scored: Rows, evidence: Gather, others: list[str]) -> None:
    rows = [scored("dhta", name, FIRST) for name in others]
    value = "ddpm" if "retpur" in others else "retpur"
    expected = "expected " if others else "but none are defined"
    with pytest.raises(LayoutError, match=f"^paired: no cell has this defense: got '{value}', {expected}") as raised:
        pair_rows(evidence(rows), GUIDANCE, MAP)
    assert ("nearest: retpu" in str(raised.value)) == ("retpu" in others)


def test_cells_scored_on_different_queries_are_not_a_pair(scored: Rows, evidence: Gather) -> None:
    rows = [scored("dhta", "retpur", FIRST), scored("dhta", "ddpm", SECOND[:3])]
    assert pair_rows(evidence(rows), GUIDANCE, MAP) == []


def test_the_steps_of_a_pair_are_those_of_both_cells(scored: Rows, evidence: Gather) -> None:
    rows = [scored("dhta", "retpur", FIRST), scored("dhta", "ddpm", SECOND)]
    rows = [replace(row, steps=("shared", row.key), tie_ranges={"map": TieRange(0.1, 0.9)}) for row in rows]
    (paired_row,) = pair_rows(evidence(rows), GUIDANCE, MAP)
    assert paired_row.steps == ("shared", rows[0].key, rows[1].key)
    assert paired_row.tie_ranges == {}


def test_cells_with_different_seeds_are_not_a_pair(scored: Rows, evidence: Gather) -> None:
    for seeds in ((0,), (0, 2)):
        sides = [("retpur", seed) for seed in (0, 1)] + [("ddpm", seed) for seed in seeds]
        rows = [scored("dhta", name, FIRST if name == "retpur" else SECOND, seed=seed) for name, seed in sides]
        assert pair_rows(evidence(rows), GUIDANCE, MAP) == []


@pytest.mark.parametrize("first", ["targeted", "untargeted"])
def test_queries_are_resampled_by_target_if_either_attack_is_targeted(
    scored: Rows, evidence: Gather, first: str
) -> None:
    clusters = [0, 0, 1, 2]
    rows = [
        scored("targeted", "none", FIRST, clusters=clusters, goal="targeted"),
        scored("untargeted", "none", SECOND, clusters=clusters),
    ]
    by = PairedAxis(axis="attack", first=first, second=next(row.attack for row in rows if row.attack != first))
    (paired_row,) = pair_rows(evidence(rows), by, MAP)
    sides = (FIRST, SECOND) if first == "targeted" else (SECOND, FIRST)
    expected = paired_difference(*map(doubles, sides), clusters=torch.tensor(clusters), resamples=300)
    assert paired_row.metrics["map"] == expected
    assert expected != paired_difference(*map(doubles, sides), resamples=300)


@pytest.mark.parametrize(
    "block",
    [
        *({"name": name, "unit": "gray"} for name in ("purified_rmse", "perceptibility")),
        *({"name": name, "unit": "seconds"} for name in ("attack_seconds", "defense_seconds")),
        {"name": "peak_memory", "unit": "mebibytes"},
        {"name": "map", "at": 0.5},
    ],
    ids=lambda block: block["name"],
)
def test_metrics_that_are_not_means_over_queries_are_an_error(
    scored: Rows, evidence: Gather, block: dict[str, Any]
) -> None:
    rows = [scored("dhta", name, {"purified_rmse": [0.25, 0.5]}) for name in ("retpur", "ddpm")]
    message = f"^paired: metrics: only means over queries have paired differences: got '{block['name']}'$"
    with pytest.raises(LayoutError, match=message):
        pair_rows(evidence(rows), GUIDANCE, (*MAP, MetricBlock(label="change", **block)))
