"""The best of competing cells, and its significance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, pairwise
from statistics import median
from typing import Any

import pytest
import torch
from torch import Tensor

from retbench.metrics import compare_pairs, detectable_difference, holm
from retbench.report.tables import significance
from retbench.report.tables.layout import Layout
from retbench.report.tables.page import axis_values
from retbench.report.tables.pool import pool_seeds
from retbench.report.tables.significance import SignificanceResults, compare_competitors
from retbench.results import ROW_AXES, Row

Scored = Callable[..., Row]
Values = dict[str, dict[str, Tensor]]
COUNT = 40
BASE = 0.3 + torch.rand(COUNT, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 5
HIGHER = ({"name": "map", "label": "MAP", "better": "higher"},)


def noisy(shift: float, seed: int, spread: float = 0.1) -> list[float]:
    """Return the common base of all queries, shifted, with individual noise of mean 0."""
    noise = torch.randn(COUNT, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (BASE + shift + spread * (noise - noise.mean())).clamp(0, 1).tolist()


def layout(**changes: Any) -> Layout:
    return Layout(**{"title": "t", "columns": ("dataset", "hasher"), "metrics": HIGHER, **changes})


def compare(rows: list[Row], queries: Values, **changes: Any) -> SignificanceResults:
    return compare_competitors(rows, layout(**changes), queries.__getitem__)


def emphases(rows: list[Row], results: SignificanceResults, metric: str = "map") -> list[str]:
    return [results.emphasis.get((axis_values(row, ROW_AXES), metric), "") for row in rows]


def test_the_best_is_emphasized_if_it_differs_from_every_competitor(scored: Scored, queries: Values) -> None:
    rows = [
        scored("p2p", name, noisy(shift, seed))
        for seed, (name, shift) in enumerate((("a", 0.0), ("b", 0.3), ("c", 0.1)))
    ]
    assert emphases(rows, compare(rows, queries)) == ["", "best", ""]


def test_lower_values_may_be_better(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", name, noisy(shift, seed)) for seed, (name, shift) in enumerate((("a", 0.0), ("b", 0.3)))]
    lower = ({"name": "map", "label": "MAP", "better": "lower"},)
    assert emphases(rows, compare(rows, queries, metrics=lower)) == ["best", ""]


def test_the_best_is_tied_with_those_it_does_not_differ_from(scored: Scored, queries: Values) -> None:
    shifts = {"a": 0.3, "b": 0.3001, "c": 0.0}
    rows = [scored("p2p", name, noisy(shift, seed)) for seed, (name, shift) in enumerate(shifts.items())]
    assert emphases(rows, compare(rows, queries)) == ["tied", "tied", ""]


def test_equal_values_are_tied(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", name, noisy(0.1, 5)) for name in ("a", "b")]
    assert emphases(rows, compare(rows, queries)) == ["tied", "tied"]


def test_p_values_are_adjusted_over_the_whole_page(scored: Scored, queries: Values) -> None:
    spread, shift = 0.1, 0.0

    def page(hashers: int) -> list[Row]:
        return [
            scored("p2p", name, noisy(value, seed, spread), hasher=f"h{at}")
            for at in range(hashers)
            for seed, (name, value) in enumerate((("a", shift), ("b", shift + 0.045)))
        ]

    alone, many = page(1), page(8)
    p = compare_pairs(*(queries[row.key]["map"] for row in alone)).p_value
    assert 0.05 / 8 < p < 0.05
    assert holm([p] * 8)[0] > 0.05
    assert emphases(alone, compare(alone, queries)) == ["", "best"]
    results = compare(many, queries)
    assert emphases(many, results) == ["tied", "tied"] * 8
    assert results.comparisons == 8


def test_all_pairs_of_defenses_are_compared_within_each_column_and_attack(scored: Scored, queries: Values) -> None:
    rows = [
        scored(attack, defense, noisy(0.0, at), hasher=hasher)
        for at, (attack, defense, hasher) in enumerate(
            (attack, defense, hasher)
            for attack in ("p2p", "dhta")
            for defense in ("none", "a", "b", "c")
            for hasher in ("dph", "dpsh")
        )
    ]
    assert compare(rows, queries).comparisons == 4 * 3  # in each column under each attack 3 pairs of 3 defenses


def test_values_in_without_do_not_compete(scored: Scored, queries: Values) -> None:
    rows = [
        scored("p2p", name, noisy(shift, seed))
        for seed, (name, shift) in enumerate((("none", 0.4), ("a", 0.2), ("b", 0.0)))
    ]
    assert emphases(rows, compare(rows, queries)) == ["", "best", ""]
    assert emphases(rows, compare(rows, queries, contest={"without": []})) == ["best", "", ""]


def test_a_single_cell_has_no_emphasis(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", "none", noisy(0.0, 1)), scored("p2p", "a", noisy(0.3, 2))]
    results = compare(rows, queries)
    assert (emphases(rows, results), results.comparisons) == (["", ""], 0)


def test_variants_compete_if_the_layout_includes_them(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", "a", noisy(shift, seed), f"t_p={seed}") for seed, shift in enumerate((0.0, 0.3, 0.1))]
    assert emphases(rows, compare(rows, queries)) == ["", "", ""]
    assert emphases(rows, compare(rows, queries, contest={"variants": True})) == ["", "best", ""]


def test_another_axis_may_compete(scored: Scored, queries: Values) -> None:
    rows = [scored(name, "none", noisy(shift, seed)) for seed, (name, shift) in enumerate((("p2p", 0.0), ("hag", 0.3)))]
    assert emphases(rows, compare(rows, queries, contest={"axis": "attack"})) == ["", "best"]


def test_root_mean_squares_are_compared(scored: Scored, queries: Values) -> None:
    squares = [(0.1 + torch.tensor(noisy(shift, seed))).square().tolist() for seed, shift in enumerate((0.3, 0.0))]
    rows = [scored("p2p", name, {"purified_rmse": each}) for name, each in zip("ab", squares, strict=True)]
    metrics = ({"name": "purified_rmse", "label": "change", "unit": "gray", "better": "lower"},)
    results = compare(rows, queries, metrics=metrics)
    assert emphases(rows, results, "purified_rmse") == ["", "best"]


def test_root_mean_squares_have_no_detectable_difference(scored: Scored, queries: Values) -> None:
    metrics = (*HIGHER, {"name": "purified_rmse", "label": "change", "unit": "gray", "better": "lower"})
    rows = []
    for seed, name in enumerate("ab"):
        values = noisy(0.1, seed)
        rows.append(scored("p2p", name, {"map": values, "purified_rmse": [value**2 for value in values]}))
    for changes in ({"contest": None}, {}):
        (detectable,) = compare(rows, queries, metrics=metrics, **changes).detectable.values()
        assert list(detectable) == ["MAP"]


def test_shares_neither_compete_nor_have_a_detectable_difference(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", name, noisy(shift, seed)) for seed, (name, shift) in enumerate((("a", 0.0), ("b", 0.3)))]
    results = compare(rows, queries, metrics=({**HIGHER[0], "at": 0.25},))
    assert results == SignificanceResults({}, 0, {})


def test_without_a_contest_the_detectable_difference_is_that_of_neighboring_rows(
    scored: Scored, queries: Values
) -> None:
    rows = [scored("p2p", name, noisy(0.1 * seed, seed)) for seed, name in enumerate("abc")]
    for changes in ({"contest": None}, {"metrics": ({"name": "map", "label": "MAP"},)}):
        results = compare(rows, queries, **changes)
        assert (results.comparisons, results.emphasis) == (0, {})
        tests = [compare_pairs(queries[x.key]["map"], queries[y.key]["map"]) for x, y in pairwise(rows)]
        expected = median(detectable_difference(test.standard_error, test.degrees_of_freedom) for test in tests)
        assert results.detectable == {"": {"MAP": pytest.approx((expected, expected))}}


def test_neighbors_are_in_one_column(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", "a", noisy(0.0, 1), hasher=hasher) for hasher in ("dph", "dpsh")]
    assert compare(rows, queries).detectable == {}


def test_only_some_of_many_neighbors_are_compared(
    scored: Scored, queries: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [scored("p2p", f"d{seed}", noisy(0.0, seed, 0.01 * seed + 0.01)) for seed in range(9)]
    tests = [compare_pairs(queries[x.key]["map"], queries[y.key]["map"]) for x, y in pairwise(rows)]
    monkeypatch.setattr(significance, "MAX_NEIGHBOR_PAIRS", 3)
    some = median(detectable_difference(test.standard_error, test.degrees_of_freedom) for test in tests[::3])
    every = median(detectable_difference(test.standard_error, test.degrees_of_freedom) for test in tests)
    assert compare(rows, queries, contest=None).detectable == {"": {"MAP": pytest.approx((some, some))}}
    assert some != pytest.approx(every)


@pytest.mark.parametrize("hashers", [1, 4])
def test_detectable_differences_are_ranges_by_kind_of_pair_at_holms_first_step(
    scored: Scored, queries: Values, hashers: int
) -> None:
    pages = [
        [
            scored("p2p", name, noisy(0.0, 7 * at + seed, 0.02 * seed + 0.01), hasher=f"h{at}")
            for seed, name in enumerate("abcd")
        ]
        for at in range(hashers)
    ]
    results = compare([row for rows in pages for row in rows], queries)
    assert results.comparisons == 6 * hashers
    assert list(results.detectable) == [" and ".join(pair) for pair in combinations("abcd", 2)]
    for kind, found in results.detectable.items():
        tests = [
            compare_pairs(*(queries[row.key]["map"] for row in rows if row.defense in kind.split(" and ")))
            for rows in pages
        ]
        level = 0.05 / (6 * hashers)
        expected = [detectable_difference(test.standard_error, test.degrees_of_freedom, level=level) for test in tests]
        assert found == {"MAP": pytest.approx((min(expected), max(expected)))}


def test_variants_of_one_defense_are_a_kind_of_pair(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", "a", noisy(0.0, at), variant=f"step={at}") for at in range(2)]
    assert list(compare(rows, queries, contest={"variants": True}).detectable) == ["a variants"]


def test_cells_with_the_same_scores_are_compared_once(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", name, noisy(shift, at)) for at, (name, shift) in enumerate((("a", 0.0), ("b", 0.02)))]
    doubled = [*rows, *(replace(row, threat="adaptive") for row in rows)]
    once, twice = compare(rows, queries), compare(doubled, queries)
    assert (once.comparisons, twice.comparisons) == (1, 1)
    assert emphases(doubled, twice) == 2 * emphases(rows, once)
    assert once.detectable == twice.detectable


def test_queries_with_the_same_target_count_once_under_a_targeted_attack(scored: Scored, queries: Values) -> None:
    clusters = [at // 20 for at in range(COUNT)]
    by_goal = {}
    for goal in ("targeted", "untargeted"):
        better = [value + (0.1 if at < 20 else 0.3) for at, value in enumerate(noisy(0.0, 2, 0.01))]
        values_by_name = {"a": noisy(0.0, 1, 0.01), "b": better}
        rows = [scored(goal, name, each, clusters=clusters, goal=goal) for name, each in values_by_name.items()]
        by_goal[goal] = emphases(rows, compare(rows, queries))
    assert by_goal == {"targeted": ["tied", "tied"], "untargeted": ["", "best"]}  # 2 targets against 40 queries


def test_rows_of_different_queries_are_not_compared(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", "a", noisy(0.0, 1)), scored("p2p", "b", noisy(0.3, 2)[:20])]
    results = compare(rows, queries)
    assert (emphases(rows, results), results.comparisons, results.detectable) == (["", ""], 0, {})


def test_the_best_is_tied_if_a_competitor_could_not_be_compared_with_it(scored: Scored, queries: Values) -> None:
    rows = [
        scored("p2p", "a", noisy(0.3, 1)),
        scored("p2p", "b", noisy(0.0, 2)),
        scored("p2p", "c", noisy(0.29, 3)[:20]),
    ]
    assert emphases(rows, compare(rows, queries)) == ["tied", "", ""]


def test_only_rows_with_the_same_seeds_are_compared(scored: Scored, queries: Values) -> None:
    by_defense = {
        name: [scored("p2p", name, noisy(shift, 9 + at), seed=seed) for seed in seeds]
        for at, (name, shift, seeds) in enumerate((("a", 0.0, (0, 1)), ("b", 0.3, (0, 1)), ("c", 0.2, (0, 2))))
    }
    pooled = pool_seeds([row for rows in by_defense.values() for row in rows], queries.__getitem__)
    same_seeds, other_seeds = compare(pooled[:2], queries), compare(pooled[1:], queries)
    assert (same_seeds.comparisons, same_seeds.detectable.keys()) == (1, {"a and b"})
    assert (other_seeds.comparisons, other_seeds.detectable) == (0, {})  # seeds 0 and 1 against 0 and 2


def test_a_row_with_a_nan_value_does_not_compete(scored: Scored, queries: Values) -> None:
    values_by_name = {"a": [math.nan] * COUNT, "b": noisy(0.0, 1), "c": noisy(0.3, 2)}
    rows = [scored("p2p", name, values) for name, values in values_by_name.items()]
    results = compare(rows, queries)
    assert (emphases(rows, results), results.comparisons) == (["", "", "best"], 1)


def test_cells_that_differ_in_another_axis_do_not_compete(scored: Scored, queries: Values) -> None:
    rows = [
        scored("p2p", name, noisy(shift, seed), threat=threat)
        for seed, (name, threat, shift) in enumerate((("a", "oblivious", 0.0), ("b", "adaptive", 0.3)))
    ]
    results = compare(rows, queries)
    assert (emphases(rows, results), results.comparisons) == (["", ""], 0)


def test_cells_that_share_a_score_are_emphasized_independently(scored: Scored, queries: Values) -> None:
    shared, worse, better = (
        scored("p2p", name, noisy(shift, at)) for at, (name, shift) in enumerate((("a", 0.2), ("b", 0.0), ("c", 0.4)))
    )
    rows = [shared, worse, *(replace(row, threat="adaptive") for row in (shared, better))]
    assert emphases(rows, compare(rows, queries)) == ["best", "", "", "best"]


def test_cells_that_are_not_done_do_not_compete(scored: Scored, queries: Values) -> None:
    rows = [
        scored("p2p", name, noisy(shift, seed))
        for seed, (name, shift) in enumerate((("a", 0.0), ("b", 0.3), ("c", 0.1)))
    ]
    rows[1] = replace(rows[1], status="failed", metrics={})
    assert emphases(rows, compare(rows, queries)) == ["", "", "best"]


def test_only_cells_that_a_block_shows_compete_in_it(scored: Scored, queries: Values) -> None:
    shifts = {"hag": 0.2, "sdha": 0.0, "p2p": 0.4}
    rows = [scored(name, "none", noisy(shift, seed)) for seed, (name, shift) in enumerate(shifts.items())]
    metrics = ({**HIGHER[0], "select": [{"attack": ["hag", "sdha"]}]},)
    results = compare(rows, queries, metrics=metrics, contest={"axis": "attack"})
    assert (emphases(rows, results), results.comparisons) == (["best", "", ""], 1)


def test_a_row_with_a_warning_wins_no_contest(scored: Scored, queries: Values) -> None:
    rows = [
        scored("p2p", name, noisy(shift, at)) for at, (name, shift) in enumerate((("a", 0.0), ("b", 0.2), ("c", 0.4)))
    ]
    assert emphases(rows, compare(rows, queries)) == ["", "", "best"]
    doubted = [*rows[:2], replace(rows[2], warnings=("its training diverged",))]
    assert emphases(doubted, compare(doubted, queries)) == ["", "best", ""]
