"""The labels and query ids of a bundle as a dataset."""

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
    """The label vectors that relevance is computed from.

    Attributes:
        record: the dataset's name and fingerprint, its classes, and the ids of its query split.
        query: labels of the whole query split, multi-hot uint8 (N, C).
        database: labels of the database, multi-hot uint8 (M, C).
    """

    record: LabelsRecord
    query: Tensor
    database: Tensor


class BundledDataset(Dataset):
    """A dataset with the labels of a bundle and without images; queries and targets can be drawn from it again."""

    name: ClassVar[str] = "bundled"
    source: ClassVar[str] = "a bundle of results"

    _labels: Labels = PrivateAttr()

    @classmethod
    def of(cls, labels: Labels) -> Self:
        """Return the dataset with these labels."""
        dataset = cls()
        dataset._labels = labels
        return dataset

    def facts(self) -> Facts:
        """Return name, classes and sizes; the image size is (0, 0)."""
        sizes: dict[Split, int] = {"query": len(self._labels.query), "database": len(self._labels.database)}
        return Facts(self._labels.record.dataset, (0, 0), tuple(self._labels.record.classes), sizes)

    def fingerprint(self) -> str:
        """Return the fingerprint of the original dataset."""
        return self._labels.record.fingerprint

    def ids(self, split: Split) -> Sequence[str]:
        """Return the ids of the query split; raises LookupError for other splits."""
        if split != "query":
            raise LookupError(f"dataset {self._labels.record.dataset}: a bundle has no ids of split {split}")
        return self._labels.record.queries

    def labels(self, split: Split) -> Tensor:
        """Return the label vectors of queries or database; raises LookupError for the training split."""
        if split == "train":
            raise LookupError(f"dataset {self._labels.record.dataset}: a bundle has no labels of split {split}")
        return self._labels.query if split == "query" else self._labels.database

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        """Raise LookupError: a bundle has no images."""
        raise LookupError(f"dataset {self._labels.record.dataset}: a bundle has no images")
