"""Pooling of the seeds of each cell into one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from retbench.errors import LayoutError
from retbench.metrics import bounded_interval
from retbench.report.tables.pool import pool_seeds
from retbench.results import Row, TieRange

Scored = Callable[..., Row]
Values = dict[str, dict[str, Tensor]]
QUERIES = torch.rand(24, generator=torch.Generator().manual_seed(3), dtype=torch.float64) / 2


@pytest.fixture
def seeds(scored: Scored) -> Callable[..., list[Row]]:
    """Make one row per seed; the values of its queries are shifted by a number."""

    def make(*shifts: float, attack: str = "p2p", goal: str = "untargeted") -> list[Row]:
        clusters = [at // 3 for at in range(24)]
        values = [(QUERIES + shift).tolist() for shift in shifts]
        return [scored(attack, "none", each, seed=at, clusters=clusters, goal=goal) for at, each in enumerate(values)]

    return make


def test_a_cell_with_one_seed_is_returned_unchanged(seeds: Callable[..., list[Row]], queries: Values) -> None:
    rows = seeds(0.0)
    assert pool_seeds(rows, queries.__getitem__) == rows


def test_the_pooled_value_is_the_mean_over_seeds_and_queries(seeds: Callable[..., list[Row]], queries: Values) -> None:
    rows = seeds(0.0, 0.3)
    (pooled,) = pool_seeds(rows, queries.__getitem__)
    both = torch.stack([QUERIES, QUERIES + 0.3])
    assert pooled.metrics["map"].value == pytest.approx(float(QUERIES.mean()) + 0.15)
    assert pooled.metrics["map"] == bounded_interval(both, resamples=300)
    assert pooled.keys == pooled.members == tuple(row.key for row in rows)
    assert pooled.data["seeds"] == [0, 1]
    assert pooled.data["lost"] == []
    assert (pooled.seed, pooled.caveats) == (0, ())


def test_queries_with_the_same_target_are_resampled_together_over_all_seeds(
    seeds: Callable[..., list[Row]], queries: Values
) -> None:
    (pooled,) = pool_seeds(seeds(0.0, 0.3, goal="targeted"), queries.__getitem__)
    both, clusters = torch.stack([QUERIES, QUERIES + 0.3]), torch.arange(24) // 3
    assert pooled.metrics["map"] == bounded_interval(both, clusters=clusters, resamples=300)


def test_seeds_that_differ_widen_the_interval(seeds: Callable[..., list[Row]], queries: Values) -> None:
    widths = []
    for shifts, attack in (((0.0, 0.0, 0.0), "p2p"), ((0.0, 0.2, 0.4), "dhta")):
        (pooled,) = pool_seeds(seeds(*shifts, attack=attack), queries.__getitem__)
        widths.append(pooled.metrics["map"].high - pooled.metrics["map"].low)
    assert widths[1] > 2 * widths[0] > 0


def test_seeds_that_are_not_done_are_left_out_and_listed(seeds: Callable[..., list[Row]], queries: Values) -> None:
    first, second, third = seeds(0.0, 0.1, 0.4)
    failed = replace(second, status="failed", reason="NaN", metrics={}, caveats=())
    rows = [replace(first, caveats=("random weights",)), failed, third]
    (pooled,) = pool_seeds(rows, queries.__getitem__)
    assert pooled.status == "done"
    assert pooled.caveats == ("random weights",)
    assert pooled.data["lost"] == ["without seed 1, failed: NaN"]
    assert pooled.data["seeds"] == [0, 2]
    assert pooled.metrics["map"].value == pytest.approx(float(QUERIES.mean()) + 0.2)


def test_a_cell_is_done_if_any_of_its_seeds_is_done(seeds: Callable[..., list[Row]], queries: Values) -> None:
    first, second = seeds(0.0, 0.1)
    missing = replace(first, status="missing", reason="damaged", metrics={})
    (pooled,) = pool_seeds([missing, second], queries.__getitem__)
    assert pooled.keys == (second.key,)
    assert pooled.metrics["map"].value == pytest.approx(float(QUERIES.mean()) + 0.1)
    assert pooled.data["lost"] == ["without seed 0, missing: damaged"]
    assert (pooled.seed, pooled.data["seeds"]) == (0, [1])


def test_a_cell_without_a_done_seed_is_its_first_row(seeds: Callable[..., list[Row]], queries: Values) -> None:
    rows = [replace(row, status="skipped", reason=f"no weights {row.seed}", metrics={}) for row in seeds(0.0, 0.1)]
    assert pool_seeds(rows, queries.__getitem__) == rows[:1]


def test_seeds_of_different_cells_are_not_pooled_and_keep_their_order(
    seeds: Callable[..., list[Row]], queries: Values
) -> None:
    rows = [*seeds(0.0, 0.1), *seeds(0.2, 0.3, attack="dhta")]
    pooled = pool_seeds([rows[2], rows[0], rows[3], rows[1]], queries.__getitem__)
    assert [row.attack for row in pooled] == ["dhta", "p2p"]
    assert [row.members for row in pooled] == [(rows[2].key, rows[3].key), (rows[0].key, rows[1].key)]


def test_seeds_scored_on_different_queries_are_an_error(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", "none", [0.5] * count, seed=count) for count in (4, 5)]
    with pytest.raises(LayoutError, match=r"digits/dpsh/32/.*p2p.*: its seeds were scored on different queries"):
        pool_seeds(rows, queries.__getitem__)


def test_seconds_and_tie_ranges_are_means_and_memory_is_the_maximum(
    seeds: Callable[..., list[Row]], queries: Values
) -> None:
    first, second = seeds(0.0, 0.1)
    costs = [
        {"attack_seconds_per_query": 1.0, "attack_peak_memory": 70, "defense_seconds_per_query": 9.0},
        {"attack_seconds_per_query": 3.0, "attack_peak_memory": 50},
    ]
    bounds = [{"map": TieRange(0.1, 0.5)}, {"map": TieRange(0.3, 0.9)}]
    rows = [
        replace(row, cost=cost, tie_ranges=bound)
        for row, cost, bound in zip((first, second), costs, bounds, strict=True)
    ]
    (pooled,) = pool_seeds(rows, queries.__getitem__)
    assert pooled.cost == {"attack_seconds_per_query": 2.0, "attack_peak_memory": 70}
    assert pooled.tie_ranges["map"] == (pytest.approx(0.2), pytest.approx(0.7))


def test_the_steps_of_a_pooled_row_are_those_of_all_seeds(seeds: Callable[..., list[Row]], queries: Values) -> None:
    rows = [replace(row, steps=("shared", row.key)) for row in seeds(0.0, 0.1)]
    (pooled,) = pool_seeds(rows, queries.__getitem__)
    assert pooled.steps == ("shared", rows[0].key, rows[1].key)
