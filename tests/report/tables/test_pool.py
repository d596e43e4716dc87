"""Several seeds of one cell as one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from retbench.errors import LayoutError
from retbench.metrics import bootstrap_interval
from retbench.report.tables.pool import pool_seeds
from retbench.results import Row, TieRange

Scored = Callable[..., Row]
Values = dict[str, dict[str, Tensor]]
QUERIES = torch.rand(24, generator=torch.Generator().manual_seed(3), dtype=torch.float64) / 2


@pytest.fixture
def seeds(scored: Scored) -> Callable[..., list[Row]]:
    """Make a row for each seed, whose queries are all shifted by a number."""

    def make(*shifts: float, attack: str = "p2p", goal: str = "untargeted") -> list[Row]:
        clusters = [at // 3 for at in range(24)]
        told = [(QUERIES + shift).tolist() for shift in shifts]
        return [scored(attack, "none", each, seed=at, clusters=clusters, goal=goal) for at, each in enumerate(told)]

    return make


def test_a_cell_of_one_seed_stays_as_it_is(seeds: Callable[..., list[Row]], queries: Values) -> None:
    rows = seeds(0.0)
    assert pool_seeds(rows, queries.__getitem__) == rows


def test_the_pooled_value_is_the_mean_over_seeds_and_queries(seeds: Callable[..., list[Row]], queries: Values) -> None:
    rows = seeds(0.0, 0.3)
    (pooled,) = pool_seeds(rows, queries.__getitem__)
    both = torch.stack([QUERIES, QUERIES + 0.3])
    assert pooled.metrics["map"].value == pytest.approx(float(QUERIES.mean()) + 0.15)
    assert pooled.metrics["map"] == bootstrap_interval(both, resamples=300)
    assert pooled.keys == pooled.members == tuple(row.key for row in rows)
    assert pooled.data["seeds"] == [0, 1]
    assert pooled.data["lost"] == []
    assert (pooled.seed, pooled.caveats) == (0, ())


def test_queries_of_one_target_are_drawn_together_under_all_seeds(
    seeds: Callable[..., list[Row]], queries: Values
) -> None:
    (pooled,) = pool_seeds(seeds(0.0, 0.3, goal="targeted"), queries.__getitem__)
    both, clusters = torch.stack([QUERIES, QUERIES + 0.3]), torch.arange(24) // 3
    assert pooled.metrics["map"] == bootstrap_interval(both, clusters=clusters, resamples=300)


def test_seeds_that_differ_widen_the_interval(seeds: Callable[..., list[Row]], queries: Values) -> None:
    widths = []
    for shifts, attack in (((0.0, 0.0, 0.0), "p2p"), ((-0.2, 0.0, 0.2), "dhta")):
        (pooled,) = pool_seeds(seeds(*shifts, attack=attack), queries.__getitem__)
        widths.append(pooled.metrics["map"].high - pooled.metrics["map"].low)
    assert widths[1] > 2 * widths[0] > 0


def test_seeds_that_are_not_done_are_left_out_and_told(seeds: Callable[..., list[Row]], queries: Values) -> None:
    first, second, third = seeds(0.0, 0.1, 0.4)
    gone = replace(second, status="failed", reason="NaN", metrics={}, caveats=())
    rows = [replace(first, caveats=("random weights",)), gone, third]
    (pooled,) = pool_seeds(rows, queries.__getitem__)
    assert pooled.status == "done"
    assert pooled.caveats == ("random weights",)
    assert pooled.data["lost"] == ["without seed 1, failed: NaN"]
    assert pooled.data["seeds"] == [0, 2]
    assert pooled.metrics["map"].value == pytest.approx(float(QUERIES.mean()) + 0.2)


def test_a_cell_with_a_seed_that_is_done_is_done_whichever_that_is(
    seeds: Callable[..., list[Row]], queries: Values
) -> None:
    first, second = seeds(0.0, 0.1)
    missing = replace(first, status="missing", reason="damaged", metrics={})
    (pooled,) = pool_seeds([missing, second], queries.__getitem__)
    assert pooled.keys == (second.key,)
    assert pooled.metrics["map"].value == pytest.approx(float(QUERIES.mean()) + 0.1)
    assert pooled.data["lost"] == ["without seed 0, missing: damaged"]
    assert (pooled.seed, pooled.data["seeds"]) == (0, [1])


def test_a_cell_without_a_seed_that_is_done_is_its_first(seeds: Callable[..., list[Row]], queries: Values) -> None:
    rows = [replace(row, status="skipped", reason=f"no weights {row.seed}", metrics={}) for row in seeds(0.0, 0.1)]
    assert pool_seeds(rows, queries.__getitem__) == rows[:1]


def test_seeds_of_other_cells_stay_apart_in_the_order_they_came(
    seeds: Callable[..., list[Row]], queries: Values
) -> None:
    rows = [*seeds(0.0, 0.1), *seeds(0.2, 0.3, attack="dhta")]
    pooled = pool_seeds([rows[2], rows[0], rows[3], rows[1]], queries.__getitem__)
    assert [row.attack for row in pooled] == ["dhta", "p2p"]
    assert [row.members for row in pooled] == [(rows[2].key, rows[3].key), (rows[0].key, rows[1].key)]


def test_seeds_that_were_scored_on_other_queries_are_refused(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", "none", [0.5] * count, seed=count) for count in (4, 5)]
    with pytest.raises(LayoutError, match=r"digits/dpsh/32/.*p2p.*: its seeds were scored on other queries"):
        pool_seeds(rows, queries.__getitem__)


def test_seconds_and_envelopes_are_means_and_memory_is_the_most(
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


def test_what_was_computed_for_any_seed_was_computed_for_the_cell(
    seeds: Callable[..., list[Row]], queries: Values
) -> None:
    rows = [replace(row, steps=("shared", row.key)) for row in seeds(0.0, 0.1)]
    (pooled,) = pool_seeds(rows, queries.__getitem__)
    assert pooled.steps == ("shared", rows[0].key, rows[1].key)
