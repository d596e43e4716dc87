"""What a block of a table shows of a row: metrics, costs, shares of queries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from retbench.metrics import Interval, bootstrap_interval
from retbench.report.tables.layout import MetricBlock
from retbench.report.tables.sample import number_of
from retbench.results import Row

Rows = Callable[..., Row]
Values = dict[str, dict[str, Tensor]]
COST = {
    "attack_seconds_per_query": 0.5,
    "attack_peak_memory": 1024,
    "defense_seconds_per_query": 2.0,
    "defense_peak_memory": 4096,
}


def is_bare(interval: Interval | None, value: float) -> bool:
    """Return whether a number has the value, and nothing is said of its uncertainty."""
    return interval is not None and interval.value == value and math.isnan(interval.low) and math.isnan(interval.high)


def block(name: str, at: float | None = None) -> MetricBlock:
    return MetricBlock(name=name, label=name, at=at)


def test_a_metric_is_the_rows_own(row: Rows, queries: Values) -> None:
    given = row("p2p", "none", 0.5)
    assert number_of(given, block("map"), queries.__getitem__) == given.metrics["map"]
    assert number_of(given, block("ssim"), queries.__getitem__) is None


@pytest.mark.parametrize(
    ("name", "expected"), [("attack_seconds", 0.5), ("defense_seconds", 2.0), ("peak_memory", 4096)]
)
def test_nothing_is_said_of_a_costs_uncertainty_and_memory_is_the_most(
    row: Rows, queries: Values, name: str, expected: float
) -> None:
    given = replace(row("p2p", "retpur", 0.5), cost=COST)
    assert is_bare(number_of(given, block(name), queries.__getitem__), expected)


def test_what_cost_nothing_has_no_cost(row: Rows, queries: Values) -> None:
    given = replace(row("p2p", "none", 0.5), cost={name: COST[name] for name in COST if "attack" in name})
    assert number_of(given, block("defense_seconds"), queries.__getitem__) is None
    assert is_bare(number_of(given, block("peak_memory"), queries.__getitem__), 1024)
    assert number_of(row("none", "none", 0.5), block("peak_memory"), queries.__getitem__) is None


RADII = [-1.0, 0.0, 0.2, 0.25, 0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(("at", "count"), [(0, 7), (0.25, 5), (0.26, 3), (1.0, 1), (1.5, 0)])
def test_a_share_counts_the_queries_that_reach_a_value(scored: Rows, queries: Values, at: float, count: int) -> None:
    given = scored("none", "smooth", {"certified_radius": RADII})
    interval = number_of(given, block("certified_radius", at), queries.__getitem__)
    reached = torch.tensor([float(radius >= at) for radius in RADII], dtype=torch.float64)
    assert interval == bootstrap_interval(reached, resamples=300)
    assert interval.value == pytest.approx(count / 8)


def test_a_share_leaves_out_queries_without_a_value(scored: Rows, queries: Values) -> None:
    given = scored("none", "smooth", {"certified_radius": [0.5, math.nan, 0.1]})
    interval = number_of(given, block("certified_radius", 0.25), queries.__getitem__)
    assert interval is not None
    assert interval.value == 0.5


def test_a_share_of_what_is_not_there_is_none(scored: Rows, queries: Values) -> None:
    assert number_of(scored("none", "none", [0.5]), block("certified_radius", 0), queries.__getitem__) is None
