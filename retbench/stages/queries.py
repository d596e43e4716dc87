"""Sample the queries of a dataset and split them into shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Literal

import torch
from torch import Tensor

from retbench.canon import digest
from retbench.contracts import Dataset
from retbench.contracts.dataset import identify_dataset
from retbench.contracts.tensors import read_images, read_labels, read_texts

ShardsPerCopy = tuple[tuple[str, ...], ...]
"""For each independently purified copy of the queries, the keys of the shards of its images."""


@dataclass(frozen=True)
class Queries:
    """Some rows of a dataset's query split.

    Attributes:
        dataset: the dataset.
        rows: the rows of the query split.
        ids: their ids, in the same order.
        offset: the position of the first one in the whole sample.
    """

    dataset: Dataset
    rows: tuple[int, ...]
    ids: tuple[str, ...]
    offset: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        return f"queries {self.offset + 1} to {self.offset + len(self)} of {self.dataset.name}"

    @cached_property
    def key(self) -> str:
        """The digest of the ids, which identifies the queries in recipes."""
        return digest(list(self.ids))

    @cached_property
    def fingerprint(self) -> str:
        """The identity of the dataset in recipes, computed once for the many recipes that have it."""
        return identify_dataset(self.dataset)

    def shards(self, size: int) -> Iterator[Queries]:
        """Yield the queries in shards of `size`; the last one may be smaller."""
        for start in range(0, len(self), size):
            yield Queries(self.dataset, self.rows[start : start + size], self.ids[start : start + size], start)

    def images(self, positions: range, device: torch.device) -> Tensor:
        """Return the clean images at `positions`: float32 (B, 3, H, W) in [0, 1] on `device`."""
        return read_images(self.dataset, "query", self._rows(positions), device)

    def texts(self, positions: range, device: torch.device) -> Tensor:
        """Return the texts at `positions`: float32 (B, T) on `device`."""
        return read_texts(self.dataset, "query", self._rows(positions), device)

    def labels(self) -> Tensor:
        """Return the labels: uint8 (Q, C)."""
        return read_labels(self.dataset, "query")[list(self.rows)]

    def _rows(self, positions: range) -> Sequence[int]:
        return self.rows[positions.start : positions.stop]


def draw_queries(dataset: Dataset, count: int | Literal["all"]) -> Queries:
    """Return the `count` queries of a dataset whose ids have the smallest sha256, in that order.

    The sample does not depend on the order of the file, and a larger sample begins with the smaller ones, so that
    finished work is kept. A dataset with fewer queries returns all of them.
    """
    ids = dataset.ids("query")
    order = sorted(range(len(ids)), key=lambda row: sha256(ids[row].encode()).digest())
    rows = order if count == "all" else order[:count]
    return Queries(dataset, tuple(rows), tuple(ids[row] for row in rows))
