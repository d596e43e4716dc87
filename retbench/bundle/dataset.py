"""The part of a dataset that a bundle holds: labels, and the ids of its queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from pydantic import PrivateAttr
from torch import Tensor

from retbench.bundle.records import LabelsRecord
from retbench.contracts import Dataset, Facts
from retbench.contracts.facts import Split


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels that relevance is computed from.

    Attributes:
        record: the dataset's name and fingerprint, its classes, and the ids of its query split.
        query: of the whole query split: multi-hot uint8 (N, C).
        database: multi-hot uint8 (M, C).
    """

    record: LabelsRecord
    query: Tensor
    database: Tensor


class BundledDataset(Dataset):
    """The labels of a bundle as a dataset without images, on which queries and targets can be drawn again."""

    name: ClassVar[str] = "bundled"
    source: ClassVar[str] = "a bundle of results"

    _labels: Labels = PrivateAttr()

    @classmethod
    def of(cls, labels: Labels) -> Self:
        """Return the dataset of these labels."""
        dataset = cls()
        dataset._labels = labels
        return dataset

    def facts(self) -> Facts:
        sizes: dict[Split, int] = {"query": len(self._labels.query), "database": len(self._labels.database)}
        return Facts(self._labels.record.dataset, (0, 0), tuple(self._labels.record.classes), sizes)

    def fingerprint(self) -> str:
        return self._labels.record.fingerprint

    def ids(self, split: Split) -> Sequence[str]:
        if split != "query":
            raise LookupError(f"dataset {self._labels.record.dataset}: a bundle has no ids of split {split}")
        return self._labels.record.queries

    def labels(self, split: Split) -> Tensor:
        if split == "train":
            raise LookupError(f"dataset {self._labels.record.dataset}: a bundle has no labels of split {split}")
        return self._labels.query if split == "query" else self._labels.database

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        raise LookupError(f"dataset {self._labels.record.dataset}: a bundle has no images")
