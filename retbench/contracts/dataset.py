"""A dataset: ids, labels, images and texts of three splits."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from retbench.canon import digest
from retbench.contracts.component import Component, Kind
from retbench.contracts.facts import Facts, Split


def data_root() -> Path:
    """Return the folder that datasets are looked for under: `RETBENCH_DATA`, or `data/` in the current folder."""
    return Path(os.environ.get("RETBENCH_DATA") or "data")


def identify_dataset(dataset: Dataset, code: str | None = None) -> str:
    """Return what identifies a dataset in a recipe: its fingerprint, and if it is local, its code too.

    Args:
        code: in place of that of its class.
    """
    fingerprint, code = dataset.fingerprint(), dataset.code if code is None else code
    return digest([fingerprint, code]) if code else fingerprint


class Dataset(Component):
    """Images with multi-hot labels, and texts where it has them.

    A path is never an option: files are found under `data_root()/<name>`, so that a recipe holds on any machine.
    """

    kind: ClassVar[Kind] = "dataset"

    @property
    def root(self) -> Path | None:
        """The folder that its files are looked for in; None for a dataset that has none."""
        return None

    def missing(self) -> str | None:
        """Return what is not on disk and the exact steps to get it, or None when the dataset can be read.

        Asked before anything else; every cell of a missing dataset is skipped with this text.
        """
        return None

    def prepare(self) -> Iterator[str]:
        """Yield a line about each thing it did to become readable without a download, such as building lists.

        By default there is nothing to do. What it writes is there at once or not at all, and a second call changes
        nothing. What is still missing afterwards is `missing`'s to say.

        Raises:
            UserError: the files that it builds on are malformed; names file and line.
        """
        yield from ()

    @abstractmethod
    def facts(self) -> Facts:
        """Return image size, classes, split sizes and text width, without decoding an image."""

    def fingerprint(self) -> str:
        """Return a digest that changes whenever an id, a label, an image or a text does.

        By default that of the options, which is right for a dataset that is generated or shipped with its plugin;
        one that reads files must digest those (names, sizes, label bytes).
        """
        return digest({"name": self.name, "revision": self.revision, "options": self.model_dump(mode="json")})

    @abstractmethod
    def ids(self, split: Split) -> Sequence[str]:
        """Return the ids of a split in row order; query ids are unique, an id names one image in every split."""

    @abstractmethod
    def labels(self, split: Split) -> Tensor:
        """Return uint8 (N, C), multi-hot, in row order; a row may be all zero (it answers nothing)."""

    @abstractmethod
    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        """Return uint8 (B, 3, H, W), B the number of `rows`, in their order; empty rows give (0, 3, H, W)."""

    def texts(self, split: Split, rows: Sequence[int]) -> Tensor:
        """Return float32 (B, T), the texts paired with the images; an all-zero row is an empty text.

        Raises:
            LookupError: the dataset has no texts (`facts().text_width` is 0).
        """
        raise LookupError(f"dataset {self.name}: it has no texts")
