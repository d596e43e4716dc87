"""Average precision: golden values, independent implementations, and properties for any input."""

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retbench.metrics import average_precision, mean_average_precision, pack, random_precision

DEFINITIONS = ["full", "top-k", "top-k-skip", "first-k-relevant"]
TIES = ["stable", "expected", "best", "worst"]
Ints = NDArray[np.int64]


class Task(NamedTuple):
    """Unpacked codes and labels for the reference implementations."""

    queries: Ints
    database: Ints
    query_labels: Ints
    database_labels: Ints

    def score(self, **options: Any) -> NDArray[np.float64]:
        codes = [pack(torch.tensor(codes, dtype=torch.int8)) for codes in (self.queries, self.database)]
        labels = [torch.tensor(labels, dtype=torch.uint8) for labels in (self.query_labels, self.database_labels)]
        return average_precision(*codes, *labels, bits=self.queries.shape[1], **options).numpy()

    def shuffled(self, seed: int) -> "Task":
        order = np.random.default_rng(seed).permutation(len(self.database))
        return self._replace(database=self.database[order], database_labels=self.database_labels[order])

    def tie_groups(self, query: int) -> Iterator[list[int]]:
        """Yield the relevances of each tie group, nearest first, in database order."""
        distances = (self.queries.shape[1] - self.database @ self.queries[query]) // 2
        relevant = (self.database_labels @ self.query_labels[query] > 0).astype(int)
        for distance in np.unique(distances):
            yield relevant[distances == distance].tolist()


def random_task(seed: int, queries: int, items: int, bits: int, classes: int = 3, density: float = 0.3) -> Task:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2, (queries + items, bits)) * 2 - 1
    labels = (rng.random((queries + items, classes)) < density).astype(np.int64)
    return Task(codes[:queries], codes[queries:], labels[:queries], labels[queries:])


def reference_average_precision(relevances: list[int], definition: str, depth: int | None) -> float:
    """Return the average precision of one ranking, computed directly from the definitions."""
    within_depth = relevances[:depth] if definition.startswith("top-k") else relevances
    terms = [sum(within_depth[: rank + 1]) / (rank + 1) for rank, relevant in enumerate(within_depth) if relevant]
    terms = terms[:depth] if definition == "first-k-relevant" else terms
    return float(np.mean(terms)) if terms else (math.nan if definition == "top-k-skip" else 0.0)


def every_order(groups: list[list[int]]) -> Iterator[list[int]]:
    """Yield every placement of the relevant items inside their tie groups; all are equally likely."""
    positions = [itertools.combinations(range(len(group)), sum(group)) for group in groups]
    for chosen in itertools.product(*positions):
        yield [int(index in taken) for group, taken in zip(groups, chosen, strict=True) for index in range(len(group))]


TOY = Task(
    np.array([[1, -1, 1, 1], [-1, 1, -1, -1], [1, -1, -1, -1]]),
    np.array(
        [[1, -1, -1, -1], [-1, 1, 1, -1], [1, 1, 1, -1], [-1, -1, 1, 1], [1, 1, -1, -1], [1, 1, 1, -1], [-1, 1, -1, -1]]
    ),
    np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]),
    np.array([[0, 1, 0], [1, 1, 0], [1, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 1], [1, 1, 0]]),
)


def waves(rows: int, columns: int, a: float, b: float, c: float) -> Ints:
    i, j = np.arange(rows)[:, None], np.arange(columns)
    return np.sign(np.sin(a * i + b * j + c).astype(np.float32)).astype(np.int64)


WAVES = Task(
    waves(3, 8, 1.7, 0.9, 0.2),
    waves(12, 8, 0.8, 1.9, 0.6),
    np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]]),
    np.array([[4 & row, 2 & row, 1 & row] for row in (4, 2, 1, 6, 1, 4, 3, 0, 2, 5, 1, 2)]).clip(max=1),
)


@pytest.mark.parametrize(
    ("options", "golden"),
    [
        ({}, [0.387302, 1.000000, 0.420635]),
        ({"ties": "expected"}, [0.385450, 0.964444, 0.401058]),
        ({"definition": "top-k", "depth": 5}, [0.366667, 1.000000, 0.416667]),
    ],
)
def test_the_toy_retrieval_has_the_golden_values(options: dict[str, Any], golden: list[float]) -> None:
    assert TOY.score(**options) == pytest.approx(golden, abs=6e-7)


@pytest.mark.parametrize(
    ("options", "golden"),
    [
        ({}, 0.304401),
        ({"definition": "first-k-relevant", "depth": 2}, 0.325000),
        ({"definition": "first-k-relevant", "depth": 12}, 0.304401),
        ({"definition": "top-k", "depth": 2}, 0.333333),
        ({"definition": "top-k", "depth": 5}, 0.316667),
    ],
)
def test_the_wave_retrieval_has_the_golden_means(options: dict[str, Any], golden: float) -> None:
    assert mean_average_precision(torch.from_numpy(WAVES.score(**options))) == pytest.approx(golden, abs=6e-7)


def test_a_query_without_labels_has_zero_or_nan() -> None:
    scores = WAVES.score(definition="top-k-skip", depth=5)
    assert np.isnan(scores[2])
    mean = mean_average_precision(torch.from_numpy(scores))
    assert mean == pytest.approx(0.316667 * 3 / 2, abs=1e-6)


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("ties", ["stable", "best", "worst"])
@pytest.mark.parametrize(("bits", "classes"), [(1, 1), (7, 21), (32, 64), (65, 65), (200, 130)])
def test_scores_under_a_fixed_order_match_a_sort(definition: str, ties: str, bits: int, classes: int) -> None:
    task, depth = random_task(3, 4, 150, bits, classes, 1.2 / classes), None if definition == "full" else 40
    for query, score in enumerate(task.score(definition=definition, depth=depth, ties=ties)):
        distances = (task.database != task.queries[query]).sum(axis=1)
        relevant = (task.database_labels & task.query_labels[query]).any(axis=1).astype(int)
        inner = {"stable": np.arange(len(distances)), "best": -relevant, "worst": relevant}[ties]
        ranking = relevant[np.lexsort((inner, distances))].tolist()
        assert score == pytest.approx(reference_average_precision(ranking, definition, depth), nan_ok=True)


@pytest.mark.parametrize("definition", DEFINITIONS)
@given(seed=st.integers(0, 10**6), items=st.integers(0, 9), bits=st.integers(1, 3), depth=st.integers(1, 10))
@settings(max_examples=60)
def test_the_expected_score_is_the_mean_over_every_order(
    definition: str, seed: int, items: int, bits: int, depth: int
) -> None:
    task, cut = random_task(seed, 2, items, bits), None if definition == "full" else depth
    for query, score in enumerate(task.score(definition=definition, depth=cut, ties="expected")):
        scores = [
            reference_average_precision(order, definition, cut) for order in every_order(list(task.tie_groups(query)))
        ]
        defined = [value for value in scores if not math.isnan(value)]  # under `top-k-skip`: given that there is a hit
        assert score == pytest.approx(np.mean(defined) if defined else math.nan, nan_ok=True, abs=1e-12)


def exact_first_relevant(groups: list[list[int]], wanted: int) -> Fraction:
    """Return the expected AP over the first relevant items from their order statistics, in exact arithmetic."""
    total, before, hits = Fraction(0), 0, 0
    for group in groups:
        size, relevant = len(group), sum(group)
        for nth in range(1, min(relevant, wanted - hits) + 1):
            for position in range(nth, size - relevant + nth + 1):
                ways = math.comb(position - 1, nth - 1) * math.comb(size - position, relevant - nth)
                total += Fraction(ways * (hits + nth), math.comb(size, relevant) * (before + position))
        before, hits = before + size, hits + min(relevant, max(0, wanted - hits))
    return total / hits


@pytest.mark.parametrize("depth", [1, 30, 170])
def test_the_expected_score_of_large_ties_is_exact(depth: int) -> None:
    task = random_task(5, 1, 480, 2, 1, 0.5)._replace(query_labels=np.array([[1]]))
    exact = exact_first_relevant(list(task.tie_groups(0)), depth)
    assert task.score(definition="first-k-relevant", depth=depth, ties="expected")[0] == pytest.approx(
        float(exact), rel=1e-12
    )


@pytest.mark.parametrize("depth", [1, 60, 250])
def test_the_expected_score_of_a_tie_at_the_depth_matches_random_orders(depth: int) -> None:
    task, rng = random_task(6, 1, 300, 1, 1, 0.3)._replace(query_labels=np.array([[1]])), np.random.default_rng(0)
    groups = [np.array(group) for group in task.tie_groups(0)]
    orders = [np.concatenate([rng.permutation(group) for group in groups]).tolist() for _ in range(2000)]
    samples = [reference_average_precision(order, "top-k", depth) for order in orders]
    error = 4 * np.std(samples) / math.sqrt(len(samples))
    assert task.score(definition="top-k", depth=depth, ties="expected")[0] == pytest.approx(np.mean(samples), abs=error)


@given(seed=st.integers(0, 10**6), items=st.integers(0, 60), bits=st.integers(1, 9), depth=st.integers(1, 70))
@settings(max_examples=60)
def test_best_and_worst_are_bounds_for_the_other_tie_rules(seed: int, items: int, bits: int, depth: int) -> None:
    task = random_task(seed, 3, items, bits)
    for options in ({}, {"definition": "first-k-relevant", "depth": depth}):
        stable, expected, best, worst = (task.score(ties=ties, **options) for ties in TIES)
        for middle in (stable, expected):
            assert (worst <= middle + 1e-12).all()
            assert (middle <= best + 1e-12).all()


def test_under_top_k_a_later_hit_can_raise_the_score() -> None:
    codes = np.array([[-1, -1], [1, -1], [1, 1], [1, 1], [1, 1]])  # hit, miss, then a tie of three with one hit
    labels = np.array([[1], [0], [1], [0], [0]])
    task = Task(np.array([[-1, -1]]), codes, np.array([[1]]), labels)
    assert task.score(definition="top-k", depth=4, ties="best")[0] == pytest.approx((1 + 2 / 3) / 2)
    assert task.score(definition="top-k", depth=4, ties="worst")[0] == 1.0


@pytest.mark.parametrize("definition", DEFINITIONS)
@given(seed=st.integers(0, 10**6), items=st.integers(1, 60), depth=st.integers(1, 70))
@settings(max_examples=30)
def test_scores_are_in_the_unit_interval_and_do_not_depend_on_the_database_order(
    definition: str, seed: int, items: int, depth: int
) -> None:
    task, options = random_task(seed, 3, items, 4), {} if definition == "full" else {"depth": depth}
    for ties in TIES:
        scores = task.score(definition=definition, ties=ties, **options)
        assert (np.isnan(scores) | ((scores >= 0) & (scores <= 1 + 1e-12))).all()
        if ties != "stable":
            again = task.shuffled(seed).score(definition=definition, ties=ties, **options)
            assert np.array_equal(scores, again, equal_nan=True)


@pytest.mark.parametrize("ties", TIES)
def test_a_depth_larger_than_the_database_means_all_of_it(ties: str) -> None:
    task = random_task(1, 5, 30, 3)
    for definition in ("top-k", "first-k-relevant"):
        assert np.array_equal(task.score(definition=definition, depth=999, ties=ties), task.score(ties=ties))


@pytest.mark.parametrize("ties", TIES)
def test_empty_inputs_have_the_documented_values(ties: str) -> None:
    no_items, no_queries = random_task(0, 3, 0, 9), random_task(0, 0, 3, 9)
    assert no_items.score(ties=ties).tolist() == [0.0] * 3
    assert no_items.score(ties=ties, definition="top-k", depth=5).tolist() == [0.0] * 3
    assert np.isnan(no_items.score(ties=ties, definition="top-k-skip", depth=5)).all()
    assert no_queries.score(ties=ties).shape == (0,)


def test_scores_do_not_depend_on_threads_or_on_the_other_queries() -> None:
    task, threads = random_task(2, 70, 200, 16), torch.get_num_threads()
    scores = task.score()
    try:
        torch.set_num_threads(1)
        assert np.array_equal(task.score(), scores)
    finally:
        torch.set_num_threads(threads)
    alone = task._replace(queries=task.queries[69:], query_labels=task.query_labels[69:])
    assert alone.score()[0] == scores[69]


def test_the_mean_ignores_nan_and_is_nan_without_values() -> None:
    assert mean_average_precision(torch.tensor([0.2, math.nan, 0.4], dtype=torch.float64)) == pytest.approx(0.3)
    assert math.isnan(mean_average_precision(torch.tensor([math.nan])))
    assert math.isnan(mean_average_precision(torch.zeros(0)))
    with pytest.raises(ValueError, match="wrong shape"):
        mean_average_precision(torch.zeros(2, 2))


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("relevant", range(6))
def test_the_random_precision_is_the_mean_over_all_orders(definition: str, relevant: int) -> None:
    depth = None if definition == "full" else 3
    database = torch.tensor([[1, 0]] * relevant + [[0, 1]] * (5 - relevant), dtype=torch.uint8)
    distances = pack(torch.tensor([[-1] * at + [1] * (5 - at) for at in range(5)], dtype=torch.int8))
    query_labels, query = torch.tensor([[1, 0]], dtype=torch.uint8), pack(torch.ones(1, 5, dtype=torch.int8))
    options: Any = {"definition": definition, "depth": depth}
    values = [
        float(average_precision(query, distances, query_labels, database[list(order)], bits=5, **options))
        for order in itertools.permutations(range(5))
    ]
    found = random_precision(query_labels, database, **options)
    expected = np.nanmean(values) if not np.isnan(values).all() else math.nan
    assert float(found) == pytest.approx(expected, nan_ok=True)


def test_the_random_precision_of_empty_inputs() -> None:
    none, two = torch.zeros(0, 3, dtype=torch.uint8), torch.ones(2, 3, dtype=torch.uint8)
    assert random_precision(two, none).tolist() == [0, 0]
    assert random_precision(none, two).shape == (0,)
    assert random_precision(two, none, definition="top-k-skip", depth=2).isnan().all()
