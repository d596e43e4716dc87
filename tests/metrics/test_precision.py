"""Precision at depths and at recalls, against plain loops and every order of the ties."""

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

from retbench.metrics import pack, precision_at, precision_recall

TIES = ["stable", "expected", "best", "worst"]
LEVELS = [0.0, 0.01, 0.2, 1 / 3, 0.5, 0.9, 1.0]
DEPTHS = [1, 2, 3, 7, 12, 500]
Ints = NDArray[np.int64]


class Task(NamedTuple):
    """Unpacked codes and labels for the reference implementations."""

    queries: Ints
    database: Ints
    query_labels: Ints
    database_labels: Ints

    def inputs(self) -> dict[str, Any]:
        codes = [pack(torch.tensor(codes, dtype=torch.int8)) for codes in (self.queries, self.database)]
        labels = [torch.tensor(labels, dtype=torch.uint8) for labels in (self.query_labels, self.database_labels)]
        names = ("query_codes", "database_codes", "query_labels", "database_labels")
        return dict(zip(names, codes + labels, strict=True)) | {"bits": self.queries.shape[1]}

    def groups(self, query: int) -> list[list[int]]:
        """Return the relevances of each tie group, nearest first, in database order."""
        distances = (self.database != self.queries[query]).sum(axis=1)
        relevant = (self.database_labels @ self.query_labels[query] > 0).astype(int)
        return [relevant[distances == distance].tolist() for distance in np.unique(distances)]


def random_task(seed: int, queries: int, items: int, bits: int) -> Task:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2, (queries + items, bits)) * 2 - 1
    labels = (rng.random((queries + items, 3)) < 0.3).astype(np.int64)
    return Task(codes[:queries], codes[queries:], labels[:queries], labels[queries:])


def precision_at_depth(ranking: list[int], depth: int) -> float:
    return sum(ranking[:depth]) / depth


def precision_at_recall(ranking: list[int], level: float) -> float:
    wanted, found = max(1, math.ceil(sum(ranking) * level - 1e-6)), 0
    for rank, relevant in enumerate(ranking, start=1):
        found += relevant
        if found == wanted:
            return found / rank
    return 0.0


def every_order(groups: list[list[int]]) -> Iterator[list[int]]:
    """Yield every placement of the relevant items inside their tie groups; all are equally likely."""
    positions = [itertools.combinations(range(len(group)), sum(group)) for group in groups]
    for chosen in itertools.product(*positions):
        yield [int(index in taken) for group, taken in zip(groups, chosen, strict=True) for index in range(len(group))]


@pytest.mark.parametrize("ties", ["stable", "best", "worst"])
@given(seed=st.integers(0, 10**6), items=st.integers(0, 60), bits=st.integers(1, 9))
@settings(max_examples=25)
def test_tie_rules_with_a_fixed_order_match_a_plain_loop(ties: str, seed: int, items: int, bits: int) -> None:
    task = random_task(seed, 2, items, bits)
    depths = precision_at(**task.inputs(), depths=DEPTHS, ties=ties)
    recalls = precision_recall(**task.inputs(), recalls=torch.tensor(LEVELS), ties=ties)
    for query in range(2):
        groups = task.groups(query)
        if ties != "stable":
            groups = [sorted(group, reverse=ties == "best") for group in groups]
        ranking = list(itertools.chain(*groups))
        assert depths[query].tolist() == pytest.approx([precision_at_depth(ranking, depth) for depth in DEPTHS])
        assert recalls[query].tolist() == pytest.approx([precision_at_recall(ranking, level) for level in LEVELS])


@given(seed=st.integers(0, 10**6), items=st.integers(0, 9), bits=st.integers(1, 3))
@settings(max_examples=60)
def test_expected_precisions_are_means_over_every_order(seed: int, items: int, bits: int) -> None:
    task = random_task(seed, 1, items, bits)
    orders = list(every_order(task.groups(0)))
    depths = [np.mean([precision_at_depth(order, depth) for order in orders]) for depth in DEPTHS]
    recalls = [np.mean([precision_at_recall(order, level) for order in orders]) for level in LEVELS]
    assert precision_at(**task.inputs(), depths=DEPTHS, ties="expected")[0].tolist() == pytest.approx(depths)
    found = precision_recall(**task.inputs(), recalls=torch.tensor(LEVELS), ties="expected")[0]
    assert found.tolist() == pytest.approx(recalls)


def exact_precision_at_hits(groups: list[list[int]], wanted: int) -> float:
    """Return the expected precision at the rank of a relevant item, in exact arithmetic."""
    before, hits = 0, 0
    for group in groups:
        size, relevant, nth = len(group), sum(group), wanted - hits
        if nth <= relevant:
            ways = [math.comb(j - 1, nth - 1) * math.comb(size - j, relevant - nth) for j in range(1, size + 1)]
            terms = [Fraction(way, before + j) for j, way in enumerate(ways, start=1)]
            return float(sum(terms) * wanted / math.comb(size, relevant))
        before, hits = before + size, hits + relevant
    return 0.0


def test_the_expected_precision_at_a_recall_is_exact_in_large_ties() -> None:
    task = random_task(3, 1, 900, 2)._replace(query_labels=np.array([[1, 1, 0]]))
    groups = task.groups(0)
    relevant = sum(map(sum, groups))
    levels = torch.arange(1, 41, dtype=torch.float64) / 40
    wanted = [math.ceil(relevant * level / 40) for level in range(1, 41)]
    exact = [exact_precision_at_hits(groups, hits) for hits in wanted]
    found = precision_recall(**task.inputs(), recalls=levels, ties="expected")[0]
    assert found.tolist() == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [10, 70, 100])
def test_a_recall_counts_as_its_decimal_number_in_any_precision(dtype: torch.dtype, count: int) -> None:
    ranks = np.arange(2 * count)  # the code of rank r + 1 is at distance r; every second item is relevant
    database = np.where(ranks < ranks[:, None], 1, -1)
    task = Task(-np.ones((1, 2 * count), int), database, np.array([[1]]), (ranks[:, None] % 2 == 0).astype(int))
    recalls = torch.arange(1, count + 1, dtype=dtype) / count  # hardly one of them is exact
    hits = np.arange(1, count + 1)
    assert precision_recall(**task.inputs(), recalls=recalls)[0].tolist() == pytest.approx(hits / (2 * hits - 1))


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25)
def test_best_and_worst_are_bounds_for_the_other_tie_rules(seed: int) -> None:
    task, levels = random_task(seed, 3, 50, 4), torch.tensor(LEVELS)
    for scores in (
        [precision_at(**task.inputs(), depths=DEPTHS, ties=ties) for ties in TIES],
        [precision_recall(**task.inputs(), recalls=levels, ties=ties) for ties in TIES],
    ):
        stable, expected, best, worst = scores
        for middle in (stable, expected):
            assert (worst <= middle + 1e-12).all()
            assert (middle <= best + 1e-12).all()
            assert (middle >= 0).all()


@pytest.mark.parametrize("ties", TIES)
def test_empty_inputs_have_the_documented_values(ties: str) -> None:
    no_items, no_queries = random_task(0, 2, 0, 5).inputs(), random_task(0, 0, 2, 5).inputs()
    assert precision_at(**no_items, depths=[1, 9], ties=ties).tolist() == [[0.0, 0.0]] * 2
    assert precision_recall(**no_items, recalls=torch.ones(3), ties=ties).tolist() == [[0.0] * 3] * 2
    assert precision_at(**no_queries, depths=[1, 9], ties=ties).shape == (0, 2)
    assert precision_recall(**no_queries, recalls=torch.ones(3), ties=ties).shape == (0, 3)
    some = random_task(0, 2, 5, 5).inputs()
    assert precision_at(**some, depths=[], ties=ties).shape == (2, 0)
    assert precision_recall(**some, recalls=torch.ones(0), ties=ties).shape == (2, 0)


def test_recalls_and_depths_out_of_range_raise() -> None:
    inputs = random_task(0, 2, 5, 5).inputs()
    with pytest.raises(ValueError, match="precision_at: depths: below the first rank: got 0, expected at least 1"):
        precision_at(**inputs, depths=[3, 0])
    with pytest.raises(ValueError, match="precision_at: unknown tie rule: got 'any'"):
        precision_at(**inputs, depths=[3], ties="any")
    for level in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"precision_recall: recalls: not a recall: got .*, expected 0 to 1"):
            precision_recall(**inputs, recalls=torch.tensor([0.5, level]))
    with pytest.raises(ValueError, match="precision_recall: recalls: wrong shape"):
        precision_recall(**inputs, recalls=torch.ones(2, 2))
