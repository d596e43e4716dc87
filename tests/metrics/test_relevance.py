"""Numbers of relevant items, and the chance level."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from retbench.metrics import average_precision, chance_level, mean_average_precision, pack, relevant_counts
from retbench.metrics import relevance as module

LISTS = Path(__file__).parents[2].parent / "shared" / "data" / "flickr25k"


def random_labels(count: int, classes: int, seed: int) -> Tensor:
    return torch.from_numpy((np.random.default_rng(seed).random((count, classes)) < 0.2).astype(np.uint8))


@given(queries=st.integers(0, 9), items=st.integers(0, 40), classes=st.integers(1, 140), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_counts_match_an_inner_product(queries: int, items: int, classes: int, seed: int) -> None:
    left, right = random_labels(queries, classes, seed), random_labels(items, classes, seed + 100)
    counts = relevant_counts(left, right)
    assert counts.dtype == torch.int64
    assert torch.equal(counts, (left.long() @ right.long().T > 0).sum(dim=1))


def test_counts_do_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = random_labels(30, 5, 0), random_labels(30, 5, 1)
    counts = relevant_counts(left, right)
    monkeypatch.setattr(module, "MAX_PAIRS", 1)
    assert torch.equal(relevant_counts(left, right), counts)


def test_a_query_without_labels_has_no_relevant_items() -> None:
    assert relevant_counts(torch.zeros(1, 3, dtype=torch.uint8), torch.ones(4, 3, dtype=torch.uint8)).tolist() == [0]


def test_the_chance_level_of_empty_inputs() -> None:
    two, none = torch.ones(2, 3, dtype=torch.uint8), torch.ones(0, 3, dtype=torch.uint8)
    assert chance_level(two, none) == 0.0
    assert math.isnan(chance_level(none, two))


def test_the_chance_level_is_near_the_map_of_random_codes() -> None:
    queries, items = random_labels(200, 4, 0), random_labels(3000, 4, 1)
    signs = np.random.default_rng(2).integers(0, 2, (3200, 16), dtype=np.int8) * 2 - 1
    codes = pack(torch.from_numpy(signs.astype(np.int8)))
    scores = average_precision(codes[:200], codes[200:], queries, items, bits=16)
    assert mean_average_precision(scores) == pytest.approx(chance_level(queries, items), abs=0.01)


def test_labels_that_do_not_match_raise() -> None:
    with pytest.raises(
        ValueError, match="relevant_counts: database_labels: wrong number of classes: got 2, expected 3"
    ):
        relevant_counts(torch.ones(1, 3, dtype=torch.uint8), torch.ones(1, 2, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"relevant_counts: query_labels: wrong dtype: got torch.int64"):
        relevant_counts(torch.ones(1, 3, dtype=torch.int64), torch.ones(1, 3, dtype=torch.uint8))


@pytest.mark.skipif(not LISTS.is_dir(), reason="FLICKR-25K: the published label lists are missing")
def test_the_chance_level_of_published_labels_depends_on_the_target_rule() -> None:
    database = torch.from_numpy(np.loadtxt(LISTS / "database_label.txt", dtype=np.uint8))
    distinct, copies = database.unique(dim=0, return_counts=True)
    assert chance_level(database, database) == pytest.approx(0.541, abs=5e-4)
    assert chance_level(distinct, database) == pytest.approx(0.667, abs=5e-4)
    assert chance_level(distinct[copies > 9], database) == pytest.approx(0.571, abs=5e-4)
    assert int((relevant_counts(database, database) == 0).sum()) == 381
