"""Differences between two values of an axis, on the same queries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from retbench.errors import LayoutError
from retbench.metrics import paired_difference
from retbench.report.layout import MetricBlock, Paired
from retbench.report.paired import pair
from retbench.results import Envelope, Evidence, Row

Rows = Callable[..., Row]
Gather = Callable[..., Evidence]
GUIDANCE = Paired(axis="defense", first="retpur", second="ddpm")
MAP = (MetricBlock(name="map", label="MAP"),)
FIRST, SECOND = [0.9, 0.5, 0.7, 0.3], [0.8, 0.6, 0.1, 0.4]


def doubles(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_pair_is_the_mean_difference_over_the_same_queries(scored: Rows, evidence: Gather) -> None:
    rows = [scored("dhta", "retpur", FIRST), scored("dhta", "ddpm", SECOND), scored("none", "retpur", FIRST)]
    (found,) = pair(evidence(rows), GUIDANCE, MAP)
    assert (found.attack, found.defense) == ("dhta", "retpur")
    assert found.metrics["map"].value == pytest.approx(0.125)
    assert found.metrics["map"] == paired_difference(doubles(FIRST), doubles(SECOND), resamples=300)


def test_it_is_drawn_by_target_under_a_targeted_attack(scored: Rows, evidence: Gather) -> None:
    clusters = [0, 0, 1, 2]
    rows = [
        scored("dhta", name, values, clusters=clusters, goal="targeted")
        for name, values in (("retpur", FIRST), ("ddpm", SECOND))
    ]
    (found,) = pair(evidence(rows), GUIDANCE, MAP)
    expected = paired_difference(doubles(FIRST), doubles(SECOND), clusters=torch.tensor(clusters), resamples=300)
    assert found.metrics["map"] == expected


def test_seeds_are_paired_with_their_like_and_pooled(scored: Rows, evidence: Gather) -> None:
    firsts, seconds = [FIRST, SECOND], [SECOND, SECOND]
    rows = [
        scored("dhta", name, values, seed=seed)
        for name, told in (("retpur", firsts), ("ddpm", seconds))
        for seed, values in enumerate(told)
    ]
    (found,) = pair(evidence(rows), GUIDANCE, MAP)
    expected = paired_difference(
        doubles(firsts[0] + firsts[1]).view(2, 4), doubles(SECOND * 2).view(2, 4), resamples=300
    )
    assert found.metrics["map"] == expected
    assert found.metrics["map"].value == pytest.approx(0.0625)


def test_a_query_that_one_side_leaves_out_is_left_out(scored: Rows, evidence: Gather) -> None:
    rows = [scored("dhta", "retpur", FIRST), scored("dhta", "ddpm", [0.8, math.nan, 0.1, 0.4])]
    (found,) = pair(evidence(rows), GUIDANCE, MAP)
    assert found.metrics["map"].value == pytest.approx((0.1 + 0.6 - 0.1) / 3)


@pytest.mark.parametrize("other", [{"hasher": "dph"}, {"bits": 16}, {"attack": "p2p"}, {"variant": "t_p=5"}])
def test_cells_that_differ_in_more_are_no_pair(scored: Rows, evidence: Gather, other: dict[str, str | int]) -> None:
    rows = [scored("dhta", "retpur", FIRST), scored(**{"attack": "dhta", "defense": "ddpm", "values": SECOND, **other})]
    assert pair(evidence(rows), GUIDANCE, MAP) == []


def test_what_is_not_done_is_no_side(scored: Rows, evidence: Gather) -> None:
    first, second = scored("dhta", "retpur", FIRST), scored("dhta", "ddpm", SECOND)
    for rows in ([first], [second], [first, replace(second, status="failed", metrics={})], []):
        assert pair(evidence(rows), GUIDANCE, MAP) == []


def test_sides_scored_on_other_queries_have_no_difference(scored: Rows, evidence: Gather) -> None:
    rows = [scored("dhta", "retpur", FIRST), scored("dhta", "ddpm", SECOND[:3])]
    assert pair(evidence(rows), GUIDANCE, MAP) == []


def test_what_both_rest_on_is_what_the_pair_rests_on(scored: Rows, evidence: Gather) -> None:
    rows = [scored("dhta", "retpur", FIRST), scored("dhta", "ddpm", SECOND)]
    rows = [replace(row, steps=("shared", row.key), envelopes={"map": Envelope(0.1, 0.9)}) for row in rows]
    (found,) = pair(evidence(rows), GUIDANCE, MAP)
    assert found.steps == ("shared", rows[0].key, rows[1].key)
    assert found.envelopes == {}


def test_seeds_of_one_side_alone_are_not_in_the_difference(scored: Rows, evidence: Gather) -> None:
    sides = (("retpur", 0, FIRST), ("retpur", 1, [1.0] * 4), ("ddpm", 0, SECOND))
    found = pair(evidence([scored("dhta", name, told, seed=seed) for name, seed, told in sides]), GUIDANCE, MAP)
    assert [row.metrics["map"].value for row in found] in ([], [pytest.approx(0.125)])


@pytest.mark.parametrize("metric", ["visibility", "perceptibility"])
def test_a_root_mean_square_has_no_difference_over_queries(scored: Rows, evidence: Gather, metric: str) -> None:
    rows = [scored("dhta", name, {metric: [0.25, 0.5]}) for name in ("retpur", "ddpm")]
    with pytest.raises(LayoutError, match=f"got the root mean square '{metric}'"):
        pair(evidence(rows), GUIDANCE, (MetricBlock(name=metric, label="change", unit="grey"),))
