"""The sample of queries, its order and its shards."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from retbench.contracts.facts import Split
from retbench.stages import draw_queries
from retbench.testing.toys import ToyDataset

CPU = torch.device("cpu")


class ReversedDataset(ToyDataset):
    """The toy dataset with its rows in reverse order."""

    def ids(self, split: Split) -> Sequence[str]:
        return super().ids(split)[::-1]

    def labels(self, split: Split) -> Tensor:
        return super().labels(split).flip(0)


@given(small=st.integers(1, 30), more=st.integers(0, 10))
def test_a_larger_sample_begins_with_the_smaller_one(small: int, more: int) -> None:
    toy = ToyDataset(queries=30)
    assert draw_queries(toy, small + more).ids[:small] == draw_queries(toy, small).ids


def test_the_sample_is_not_the_first_rows_of_the_file() -> None:
    assert draw_queries(ToyDataset(queries=30), 10).rows != tuple(range(10))


def test_the_sample_does_not_depend_on_the_order_of_the_file() -> None:
    forward, backward = draw_queries(ToyDataset(), 4), draw_queries(ReversedDataset(), 4)
    assert backward.ids == forward.ids
    assert backward.rows == tuple(9 - row for row in forward.rows)
    assert torch.equal(backward.labels(), forward.labels())
    assert backward.key == forward.key


@pytest.mark.parametrize("count", ["all", 10, 11])
def test_a_small_dataset_returns_all_its_queries(count: int) -> None:
    assert sorted(draw_queries(ToyDataset(queries=10), count).rows) == list(range(10))


@given(count=st.integers(0, 30), size=st.integers(1, 12))
def test_shards_partition_the_queries_in_order(count: int, size: int) -> None:
    queries = draw_queries(ToyDataset(queries=count), "all")
    shards = list(queries.shards(size))
    assert [row for shard in shards for row in shard.rows] == list(queries.rows)
    assert [name for shard in shards for name in shard.ids] == list(queries.ids)
    assert [len(shard) for shard in shards] == [size] * (count // size) + [count % size] * (count % size > 0)


def test_full_shards_keep_their_keys_in_a_larger_sample() -> None:
    few, many = (draw_queries(ToyDataset(queries=30), count).shards(4) for count in (10, 30))
    keys = [shard.key for shard in few]
    assert keys[:2] == [shard.key for shard in many][:2]
    assert len(set(keys)) == 3


def test_images_texts_and_labels_are_those_of_the_ids() -> None:
    toy = ToyDataset()
    queries, positions = draw_queries(toy, 6), range(2, 5)
    rows = [list(toy.ids("query")).index(name) for name in queries.ids]
    assert torch.equal(queries.images(positions, CPU), toy.images("query", rows[2:5]).float() / 255)
    assert torch.equal(queries.texts(positions, CPU), toy.texts("query", rows[2:5]))
    assert torch.equal(queries.labels(), toy.labels("query")[rows])


def test_no_positions_give_no_images() -> None:
    assert draw_queries(ToyDataset(), 6).images(range(0), CPU).shape == (0, 3, 12, 12)
