"""The numbers that blocks show of a row: metrics, costs, shares of queries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from retbench.metrics import Interval, bounded_interval
from retbench.report.tables.layout import MetricBlock
from retbench.report.tables.sample import block_interval
from retbench.results import Row

Rows = Callable[..., Row]
Values = dict[str, dict[str, Tensor]]
COST = {
    "attack_seconds_per_query": 0.5,
    "attack_peak_memory": 1024,
    "defense_seconds_per_query": 2.0,
    "defense_peak_memory": 4096,
}


def has_no_interval(interval: Interval | None, value: float) -> bool:
    """Return whether a number has the value, and no confidence interval."""
    return interval is not None and interval.value == value and math.isnan(interval.low) and math.isnan(interval.high)


def block(name: str, at: float | None = None) -> MetricBlock:
    return MetricBlock(name=name, label=name, at=at)


def test_the_number_of_a_metric_is_the_rows(row: Rows, queries: Values) -> None:
    shown = row("p2p", "none", 0.5)
    assert block_interval(shown, block("map"), queries.__getitem__) == shown.metrics["map"]
    assert block_interval(shown, block("ssim"), queries.__getitem__) is None


@pytest.mark.parametrize(
    ("name", "expected"), [("attack_seconds", 0.5), ("defense_seconds", 2.0), ("peak_memory", 4096)]
)
def test_costs_have_no_interval_and_memory_is_the_maximum(
    row: Rows, queries: Values, name: str, expected: float
) -> None:
    shown = replace(row("p2p", "retpur", 0.5), cost=COST)
    assert has_no_interval(block_interval(shown, block(name), queries.__getitem__), expected)


def test_the_number_of_a_missing_cost_is_none(row: Rows, queries: Values) -> None:
    shown = replace(row("p2p", "none", 0.5), cost={name: COST[name] for name in COST if "attack" in name})
    assert block_interval(shown, block("defense_seconds"), queries.__getitem__) is None
    assert has_no_interval(block_interval(shown, block("peak_memory"), queries.__getitem__), 1024)
    assert block_interval(row("none", "none", 0.5), block("peak_memory"), queries.__getitem__) is None


RADII = [-1.0, 0.0, 0.2, 0.25, 0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(("at", "count"), [(0, 7), (0.25, 5), (0.26, 3), (1.0, 1), (1.5, 0)])
def test_a_share_counts_the_queries_that_reach_a_value(scored: Rows, queries: Values, at: float, count: int) -> None:
    shown = scored("none", "smooth", {"certified_radius": RADII})
    interval = block_interval(shown, block("certified_radius", at), queries.__getitem__)
    reached = torch.tensor([float(radius >= at) for radius in RADII], dtype=torch.float64)
    assert interval == bounded_interval(reached, resamples=300)
    assert interval.value == pytest.approx(count / 8)


def test_a_share_leaves_out_queries_without_a_value(scored: Rows, queries: Values) -> None:
    shown = scored("none", "smooth", {"certified_radius": [0.5, math.nan, 0.1]})
    interval = block_interval(shown, block("certified_radius", 0.25), queries.__getitem__)
    assert interval is not None
    assert interval.value == 0.5


def test_the_share_of_a_missing_metric_is_none(scored: Rows, queries: Values) -> None:
    assert block_interval(scored("none", "none", [0.5]), block("certified_radius", 0), queries.__getitem__) is None
