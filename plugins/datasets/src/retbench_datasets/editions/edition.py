"""The interface of an edition: one published form of a dataset, with its splits and texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from retbench import Split
from retbench_datasets.editions.text_table import TextTable
from retbench_datasets.images.image_index import ImageIndex


class Edition(ABC):
    """One published form of a dataset in its folder: images, classes, splits and texts."""

    @abstractmethod
    def index(self) -> ImageIndex:
        """Return the index of the three splits, cached while their list files stay the same; raises UserError."""

    @abstractmethod
    def texts(self) -> Mapping[Split, TextTable]:
        """Return the memory-mapped texts of each split; empty for an edition without texts; raises UserError."""

    @abstractmethod
    def missing(self) -> str | None:
        """Return the files that are missing and the exact steps to get them, or None."""

    @abstractmethod
    def prepare(self) -> Iterator[str]:
        """Build the missing files from the original download, and yield a line for each step.

        Raises:
            UserError: a file of the download, or an existing list, is malformed, or they contradict each other.
        """

    @abstractmethod
    def caveats(self, sizes: Mapping[Split, int]) -> tuple[str, ...]:
        """Return the differences between the splits, of these sizes, and the published ones."""


def format_steps(steps: Sequence[str]) -> str:
    """Return instructions as `(1) ...; (2) ...`; a single one without a number."""
    if len(steps) == 1:
        return steps[0]
    return "; ".join(f"({number}) {step}" for number, step in enumerate(steps, start=1))


def size_caveats(published: Mapping[Split, int], sizes: Mapping[Split, int]) -> Iterator[str]:
    """Yield a sentence for each split whose size is not the published one."""
    for split, expected in published.items():
        if (got := sizes[split]) != expected:
            name = "training" if split == "train" else split
            yield f"expected {expected} {name} rows, got {got}: not the published split"
