"""Which queries are used, in what order, and how they are cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Literal

import torch
from torch import Tensor

from retbench.canon import digest
from retbench.contracts import Dataset, unit_images
from retbench.contracts.dataset import identify_dataset

Draws = tuple[tuple[str, ...], ...]
"""Keys of the shards of the queries' images, once for each independent copy of them."""


@dataclass(frozen=True)
class Queries:
    """Some rows of a dataset's query split.

    Attributes:
        dataset: where they come from.
        rows: their rows in the query split.
        ids: their ids, in the same order.
        first: how many of the sample come before them.
    """

    dataset: Dataset
    rows: tuple[int, ...]
    ids: tuple[str, ...]
    first: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        return f"queries {self.first + 1} to {self.first + len(self)} of {self.dataset.name}"

    @cached_property
    def key(self) -> str:
        """The digest of the ids: what a recipe holds."""
        return digest(list(self.ids))

    @cached_property
    def fingerprint(self) -> str:
        """What identifies the dataset in a recipe, asked for once: most steps of a plan hold it."""
        return identify_dataset(self.dataset)

    def shards(self, size: int) -> Iterator[Queries]:
        """Yield them `size` at a time."""
        for start in range(0, len(self), size):
            yield Queries(self.dataset, self.rows[start : start + size], self.ids[start : start + size], start)

    def images(self, positions: range, device: torch.device) -> Tensor:
        """Return the clean images at `positions`: float32 (B, 3, H, W) in [0, 1] on `device`."""
        return unit_images(self.dataset.images("query", self._rows(positions)), device)

    def texts(self, positions: range, device: torch.device) -> Tensor:
        """Return the texts at `positions`: float32 (B, T) on `device`."""
        return self.dataset.texts("query", self._rows(positions)).to(device)

    def labels(self) -> Tensor:
        """Return their labels: uint8 (Q, C)."""
        return self.dataset.labels("query")[list(self.rows)]

    def _rows(self, positions: range) -> Sequence[int]:
        return self.rows[positions.start : positions.stop]


def draw_queries(dataset: Dataset, count: int | Literal["all"]) -> Queries:
    """Return `count` queries of a dataset: those whose id has the smallest sha256, in that order.

    The sample ignores how the file is sorted, is the same on every machine, and a larger one begins with a smaller
    one, so that asking for more queries keeps the work already done. A dataset with fewer queries gives all it has.
    """
    ids = dataset.ids("query")
    order = sorted(range(len(ids)), key=lambda row: sha256(ids[row].encode()).digest())
    rows = order if count == "all" else order[:count]
    return Queries(dataset, tuple(rows), tuple(ids[row] for row in rows))
