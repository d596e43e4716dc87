"""An edition: one published form of a dataset, with its splits and texts, what is missing and how it is prepared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

from retbench import Split
from retbench_datasets.editions.text_table import TextTable
from retbench_datasets.images.image_index import ImageIndex


class Edition(ABC):
    """One published form of a dataset, in its folder: which pictures, classes, splits and texts."""

    @abstractmethod
    def index(self) -> ImageIndex:
        """Returns the three splits, remembered while the files that list them stay; raises UserError."""

    @abstractmethod
    def texts(self) -> Mapping[Split, TextTable]:
        """Returns the texts of each split, mapped and not read; none without texts; raises UserError."""

    @abstractmethod
    def missing(self) -> str | None:
        """Returns what is not on disk and the exact steps to get it, or None."""

    @abstractmethod
    def prepare(self) -> Iterator[str]:
        """Yields what was done: builds the files that are missing from those of the original download.

        Raises:
            UserError: a file of the download, or a list that is there, is malformed, or they contradict each other.
        """

    @abstractmethod
    def caveats(self, sizes: Mapping[Split, int]) -> tuple[str, ...]:
        """Returns in which way the splits, of these sizes, are not the published ones."""


def size_caveats(published: Mapping[Split, int], sizes: Mapping[Split, int]) -> Iterator[str]:
    """Yields a sentence for each split that has not the published number of rows."""
    for split, expected in published.items():
        if (got := sizes[split]) != expected:
            named = "training" if split == "train" else split
            yield f"expected {expected} {named} rows, got {got}: not the published split"
