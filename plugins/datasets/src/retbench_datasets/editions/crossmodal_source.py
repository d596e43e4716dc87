"""The source of a cross-modal edition: images with labels and texts, read from a download."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import Split
from retbench_datasets.formats.container import CONTAINER_FILES, part_file_names

Arrangement = Literal["drawn", "official", "published"]
"""How rows come to their splits: all in the order of the sha256 of their paths; so, but the first `sizes["query"]`
pairs, the official queries, before the others; or in the order of the pairs, which is the published one."""


class ImageTextPairs(NamedTuple):
    """Images with labels and a text each, in the order of their source.

    `remarks` are what a reader of results must know about the files that the pairs came from; they contain no paths of
    this machine, because they are printed under tables.
    """

    names: tuple[str, ...]  # image paths below the dataset's folder, unique
    labels: NDArray[np.uint8]  # (N, C), multi-hot
    texts: NDArray[Any]  # (N, T), uint8 or float32, maybe a memmap
    remarks: tuple[str, ...] = ()


class CrossmodalSource(ABC):
    """The original download of a cross-modal edition, read into `ImageTextPairs`.

    Class attributes a source sets:
        name: the dataset's.
        classes: names of the label columns.
        sizes: rows of each split. Source: RetPur, Table 6.
        text_width: length of a text.
        license: who may do what with the pictures.
        remarks: what a reader must know of numbers made with texts that this source made.
    """

    name: ClassVar[str]
    classes: ClassVar[tuple[str, ...]]
    sizes: ClassVar[Mapping[Split, int]]
    text_width: ClassVar[int]
    license: ClassVar[str]
    remarks: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def steps(self, root: Path) -> str:
        """Returns the steps before `retbench datasets prepare`: `(1) ...; (2) ...`, with what to put where."""

    @abstractmethod
    def files(self, root: Path) -> tuple[Path, ...]:
        """Returns the files of the download that `read` cannot do without, except those of single images."""

    def complete(self, root: Path) -> bool:
        """Returns whether all of `files` are there."""
        return all(path.is_file() for path in self.files(root))

    def alternative(self, root: Path) -> str | None:
        """Returns which published container may be put where in place of all steps; None where this is one."""
        parts = part_file_names(self.name)
        dcmh = f", or DCMH's {', '.join(parts[:-1])} and {parts[-1]}" if parts else ","
        return f"{CONTAINER_FILES[self.name][0]}, which the code of TA-DCH links to{dcmh} into {root}"

    def arrangement(self, root: Path) -> Arrangement:
        """Returns how the pairs that `read` returns are arranged."""
        return "drawn"

    def encoder_missing(self) -> str | None:
        """Returns how to get the network that makes vectors of texts, or None where it is there or none is needed."""
        return None

    @abstractmethod
    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        """Yields lines about the progress and returns the pairs, their remarks among the lines.

        Args:
            root: the dataset's folder.
            draft: an existing folder for what is too large for memory; it stays from a run that was interrupted to the
                next and goes when the edition is written.

        Raises:
            UserError: a file is malformed, or two of them do not fit; names file and line.
        """
