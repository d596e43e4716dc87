"""Who is best, and whether that can be told."""

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
from retbench.report.tables import contest
from retbench.report.tables.contest import Standings, hold_contests
from retbench.report.tables.layout import Layout
from retbench.report.tables.page import point_of
from retbench.report.tables.pool import pool_seeds
from retbench.results import ROW_AXES, Row

Scored = Callable[..., Row]
Values = dict[str, dict[str, Tensor]]
COUNT = 40
BASE = torch.rand(COUNT, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 2
HIGHER = ({"name": "map", "label": "MAP", "better": "higher"},)


def near(shift: float, seed: int, spread: float = 0.1) -> list[float]:
    """Return the base of all queries shifted, each with a little of its own."""
    own = torch.randn(COUNT, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (BASE + shift + spread * (own - own.mean())).tolist()


def layout(**changes: Any) -> Layout:
    return Layout(**{"title": "t", "columns": ("dataset", "hasher"), "metrics": HIGHER, **changes})


def standings(rows: list[Row], queries: Values, **changes: Any) -> Standings:
    return hold_contests(rows, layout(**changes), queries.__getitem__)


def crowned(rows: list[Row], found: Standings, metric: str = "map") -> list[str]:
    return [found.emphasis.get((point_of(row, ROW_AXES), metric), "") for row in rows]


def test_the_best_is_best_where_it_is_separated_from_every_rival(scored: Scored, queries: Values) -> None:
    rows = [
        scored("p2p", name, near(shift, seed))
        for seed, (name, shift) in enumerate((("a", 0.0), ("b", 0.3), ("c", 0.1)))
    ]
    assert crowned(rows, standings(rows, queries)) == ["", "best", ""]


def test_less_may_be_better(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", name, near(shift, seed)) for seed, (name, shift) in enumerate((("a", 0.0), ("b", 0.3)))]
    lower = ({"name": "map", "label": "MAP", "better": "lower"},)
    assert crowned(rows, standings(rows, queries, metrics=lower)) == ["best", ""]


def test_the_best_is_tied_with_those_it_cannot_be_told_from(scored: Scored, queries: Values) -> None:
    shifts = {"a": 0.3, "b": 0.3001, "c": 0.0}
    rows = [scored("p2p", name, near(shift, seed)) for seed, (name, shift) in enumerate(shifts.items())]
    assert crowned(rows, standings(rows, queries)) == ["tied", "tied", ""]


def test_equal_numbers_are_tied(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", name, near(0.1, 5)) for name in ("a", "b")]
    assert crowned(rows, standings(rows, queries)) == ["tied", "tied"]


def test_p_values_are_adjusted_over_the_whole_page(scored: Scored, queries: Values) -> None:
    spread, shift = 0.1, 0.0

    def page(hashers: int) -> list[Row]:
        return [
            scored("p2p", name, near(value, seed, spread), hasher=f"h{at}")
            for at in range(hashers)
            for seed, (name, value) in enumerate((("a", shift), ("b", shift + 0.045)))
        ]

    alone, many = page(1), page(8)
    p = compare_pairs(*(queries[row.key]["map"] for row in alone)).p
    assert 0.05 / 8 < p < 0.05
    assert holm([p] * 8)[0] > 0.05
    assert crowned(alone, standings(alone, queries)) == ["", "best"]
    found = standings(many, queries)
    assert crowned(many, found) == ["tied", "tied"] * 8
    assert found.comparisons == 8


def test_every_pair_of_a_contest_is_compared_and_contests_are_columns_and_attacks(
    scored: Scored, queries: Values
) -> None:
    rows = [
        scored(attack, defense, near(0.0, at), hasher=hasher)
        for at, (attack, defense, hasher) in enumerate(
            (attack, defense, hasher)
            for attack in ("p2p", "dhta")
            for defense in ("none", "a", "b", "c")
            for hasher in ("dph", "dpsh")
        )
    ]
    assert standings(rows, queries).comparisons == 4 * 3  # in each column under each attack 3 pairs of 3 defenses


def test_what_is_without_does_not_compete(scored: Scored, queries: Values) -> None:
    rows = [
        scored("p2p", name, near(shift, seed))
        for seed, (name, shift) in enumerate((("none", 0.4), ("a", 0.2), ("b", 0.0)))
    ]
    assert crowned(rows, standings(rows, queries)) == ["", "best", ""]
    assert crowned(rows, standings(rows, queries, contest={"without": []})) == ["best", "", ""]


def test_one_alone_wins_nothing(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", "none", near(0.0, 1)), scored("p2p", "a", near(0.3, 2))]
    found = standings(rows, queries)
    assert (crowned(rows, found), found.comparisons) == (["", ""], 0)


def test_variants_compete_where_the_layout_says_so(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", "a", near(shift, seed), f"t_p={seed}") for seed, shift in enumerate((0.0, 0.3, 0.1))]
    assert crowned(rows, standings(rows, queries)) == ["", "", ""]
    assert crowned(rows, standings(rows, queries, contest={"variants": True})) == ["", "best", ""]


def test_another_axis_may_compete(scored: Scored, queries: Values) -> None:
    rows = [scored(name, "none", near(shift, seed)) for seed, (name, shift) in enumerate((("p2p", 0.0), ("hag", 0.3)))]
    assert crowned(rows, standings(rows, queries, contest={"axis": "attack"})) == ["", "best"]


def test_squares_compete_by_the_root_of_their_mean(scored: Scored, queries: Values) -> None:
    squares = [(0.1 + torch.tensor(near(shift, seed))).square().tolist() for seed, shift in enumerate((0.3, 0.0))]
    rows = [scored("p2p", name, {"purified_rmse": each}) for name, each in zip("ab", squares, strict=True)]
    metrics = ({"name": "purified_rmse", "label": "change", "unit": "gray", "better": "lower"},)
    found = standings(rows, queries, metrics=metrics)
    assert crowned(rows, found, "purified_rmse") == ["", "best"]


def test_squares_have_no_detectable_difference(scored: Scored, queries: Values) -> None:
    metrics = (*HIGHER, {"name": "purified_rmse", "label": "change", "unit": "gray", "better": "lower"})
    rows = []
    for seed, name in enumerate("ab"):
        values = near(0.1, seed)
        rows.append(scored("p2p", name, {"map": values, "purified_rmse": [value**2 for value in values]}))
    for changes in ({"contest": None}, {}):
        assert list(standings(rows, queries, metrics=metrics, **changes).detectable) == ["MAP"]


def test_shares_neither_compete_nor_have_a_detectable_difference(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", name, near(shift, seed)) for seed, (name, shift) in enumerate((("a", 0.0), ("b", 0.3)))]
    found = standings(rows, queries, metrics=({**HIGHER[0], "at": 0.25},))
    assert found == Standings({}, 0, {})


def test_without_a_contest_neighbors_tell_what_could_be_detected(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", name, near(0.1 * seed, seed)) for seed, name in enumerate("abc")]
    for changes in ({"contest": None}, {"metrics": ({"name": "map", "label": "MAP"},)}):
        found = standings(rows, queries, **changes)
        assert (found.comparisons, found.emphasis) == (0, {})
        tests = [compare_pairs(queries[x.key]["map"], queries[y.key]["map"]) for x, y in pairwise(rows)]
        expected = median(detectable_difference(test.error, test.freedom) for test in tests)
        assert found.detectable == {"MAP": pytest.approx(expected)}


def test_neighbors_stand_in_one_column(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", "a", near(0.0, 1), hasher=hasher) for hasher in ("dph", "dpsh")]
    assert standings(rows, queries).detectable == {}


def test_only_some_of_many_neighbors_are_compared(
    scored: Scored, queries: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [scored("p2p", f"d{seed}", near(0.0, seed, 0.01 * seed + 0.01)) for seed in range(9)]
    tests = [compare_pairs(queries[x.key]["map"], queries[y.key]["map"]) for x, y in pairwise(rows)]
    monkeypatch.setattr(contest, "PAIRS", 3)
    some = median(detectable_difference(test.error, test.freedom) for test in tests[::3])
    every = median(detectable_difference(test.error, test.freedom) for test in tests)
    assert standings(rows, queries, contest=None).detectable == {"MAP": pytest.approx(some)}
    assert some != pytest.approx(every)


@pytest.mark.parametrize("hashers", [1, 4])
def test_the_detectable_difference_is_the_median_over_the_pairs_at_holms_first_step(
    scored: Scored, queries: Values, hashers: int
) -> None:
    pages = [
        [scored("p2p", name, near(0.0, seed, 0.02 * seed + 0.01), hasher=f"h{at}") for seed, name in enumerate("abcd")]
        for at in range(hashers)
    ]
    pairs = [pair for rows in pages for pair in combinations(rows, 2)]
    tests = [compare_pairs(queries[x.key]["map"], queries[y.key]["map"]) for x, y in pairs]
    level = 0.05 / (6 * hashers)
    expected = median(detectable_difference(test.error, test.freedom, level=level) for test in tests)
    found = standings([row for rows in pages for row in rows], queries)
    assert (found.comparisons, found.detectable) == (6 * hashers, {"MAP": pytest.approx(expected)})


def test_queries_of_one_target_count_once_under_a_targeted_attack(scored: Scored, queries: Values) -> None:
    clusters = [at // 20 for at in range(COUNT)]
    told = {}
    for goal in ("targeted", "untargeted"):
        better = [value + (0.1 if at < 20 else 0.3) for at, value in enumerate(near(0.0, 2, 0.01))]
        given = {"a": near(0.0, 1, 0.01), "b": better}
        rows = [scored(goal, name, each, clusters=clusters, goal=goal) for name, each in given.items()]
        told[goal] = crowned(rows, standings(rows, queries))
    assert told == {"targeted": ["tied", "tied"], "untargeted": ["", "best"]}  # 2 targets against 40 queries


def test_rows_of_other_queries_are_not_compared(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", "a", near(0.0, 1)), scored("p2p", "b", near(0.3, 2)[:20])]
    found = standings(rows, queries)
    assert (crowned(rows, found), found.comparisons, found.detectable) == (["", ""], 0, {})


def test_the_best_is_tied_where_a_rival_could_not_be_compared_with_it(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", "a", near(0.3, 1)), scored("p2p", "b", near(0.0, 2)), scored("p2p", "c", near(0.29, 3)[:20])]
    assert crowned(rows, standings(rows, queries)) == ["tied", "", ""]


def test_seeds_are_compared_with_their_like(scored: Scored, queries: Values) -> None:
    made = {
        name: [scored("p2p", name, near(shift, 9 + at), seed=seed) for seed in seeds]
        for at, (name, shift, seeds) in enumerate((("a", 0.0, (0, 1)), ("b", 0.3, (0, 1)), ("c", 0.2, (0, 2))))
    }
    pooled = pool_seeds([row for rows in made.values() for row in rows], queries.__getitem__)
    alike, other = standings(pooled[:2], queries), standings(pooled[1:], queries)
    assert (alike.comparisons, alike.detectable.keys()) == (1, {"MAP"})
    assert (other.comparisons, other.detectable) == (0, {})  # seeds 0 and 1 against 0 and 2


def test_a_mean_over_nothing_does_not_compete(scored: Scored, queries: Values) -> None:
    given = {"a": [math.nan] * COUNT, "b": near(0.0, 1), "c": near(0.3, 2)}
    rows = [scored("p2p", name, values) for name, values in given.items()]
    found = standings(rows, queries)
    assert (crowned(rows, found), found.comparisons) == (["", "", "best"], 1)


def test_cells_that_differ_in_an_axis_that_no_column_shows_do_not_compete(scored: Scored, queries: Values) -> None:
    rows = [
        scored("p2p", name, near(shift, seed), threat=threat)
        for seed, (name, threat, shift) in enumerate((("a", "oblivious", 0.0), ("b", "adaptive", 0.3)))
    ]
    found = standings(rows, queries)
    assert (crowned(rows, found), found.comparisons) == (["", ""], 0)


def test_cells_of_one_score_are_set_off_each_in_its_own_contest(scored: Scored, queries: Values) -> None:
    shared, worse, better = (
        scored("p2p", name, near(shift, at)) for at, (name, shift) in enumerate((("a", 0.2), ("b", 0.0), ("c", 0.4)))
    )
    rows = [shared, worse, *(replace(row, threat="adaptive") for row in (shared, better))]
    assert crowned(rows, standings(rows, queries)) == ["best", "", "", "best"]


def test_what_is_not_done_does_not_compete(scored: Scored, queries: Values) -> None:
    rows = [
        scored("p2p", name, near(shift, seed))
        for seed, (name, shift) in enumerate((("a", 0.0), ("b", 0.3), ("c", 0.1)))
    ]
    rows[1] = replace(rows[1], status="failed", metrics={})
    assert crowned(rows, standings(rows, queries)) == ["", "", "best"]


def test_only_what_a_block_shows_competes_in_it(scored: Scored, queries: Values) -> None:
    shifts = {"hag": 0.2, "sdha": 0.0, "p2p": 0.4}
    rows = [scored(name, "none", near(shift, seed)) for seed, (name, shift) in enumerate(shifts.items())]
    metrics = ({**HIGHER[0], "select": [{"attack": ["hag", "sdha"]}]},)
    found = standings(rows, queries, metrics=metrics, contest={"axis": "attack"})
    assert (crowned(rows, found), found.comparisons) == (["best", "", ""], 1)
