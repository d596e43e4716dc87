"""The source of a cross-modal edition: images with labels and texts, read from a download."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import Split
from retbench_datasets.formats.container import CONTAINER_FILES, array_file_names

RowOrder = Literal["drawn", "official", "published"]
"""The order in which rows are assigned to splits, queries first. `drawn`: by the sha256 of the image paths. `official`:
the same, but with the first `sizes["query"]` pairs of the source, the official queries, before all others.
`published`: the order of the source, which is the published one."""


class ImageTextPairs(NamedTuple):
    """Images with labels and a text each, in the order of their source.

    `remarks` are irregularities of the source files that a reader of results must know; they contain no paths of this
    machine, because they are printed under tables.
    """

    names: tuple[str, ...]  # image paths below the dataset's folder, unique
    labels: NDArray[np.uint8]  # (N, C), multi-hot
    texts: NDArray[Any]  # (N, T), uint8 or float32, may be a memmap
    remarks: tuple[str, ...] = ()


class CrossmodalSource(ABC):
    """The original download of a cross-modal edition, read into `ImageTextPairs`.

    Class attributes that a source sets:
        name: name of the dataset.
        classes: names of the label columns.
        sizes: rows of each split. Source: RetPur, Table 6.
        text_width: length of a text vector.
        license: license of the images, as a sentence.
        remarks: what a reader must know about texts that this source made.
        needs_bert: whether `read` encodes texts with BERT.
    """

    name: ClassVar[str]
    classes: ClassVar[tuple[str, ...]]
    sizes: ClassVar[Mapping[Split, int]]
    text_width: ClassVar[int]
    license: ClassVar[str]
    remarks: ClassVar[tuple[str, ...]] = ()
    needs_bert: ClassVar[bool] = False

    @abstractmethod
    def download_steps(self, root: Path) -> tuple[str, ...]:
        """Return the instructions to get the files into the folder; those for BERT are added elsewhere."""

    @abstractmethod
    def required_files(self, root: Path) -> tuple[Path, ...]:
        """Return the files of the download that `read` needs, except those of single images."""

    def is_complete(self, root: Path) -> bool:
        """Return whether all required files exist."""
        return all(path.is_file() for path in self.required_files(root))

    def alternative_step(self, root: Path) -> str | None:
        """Return the instruction that replaces all others: to get a published container; None if this is one."""
        return container_step(self.name, root)

    def row_order(self, root: Path) -> RowOrder:
        """Return the order in which the pairs of `read` are assigned to splits."""
        return "drawn"

    @abstractmethod
    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        """Yield progress lines and return the pairs, for `yield from`; remarks are among the lines.

        Args:
            root: the dataset's folder.
            draft: an existing folder for files that are too large for memory; it is kept when a run is interrupted,
                and removed after the edition is written.

        Raises:
            UserError: a file is malformed, or two of them do not fit; names file and line.
        """


def container_step(name: str, root: Path) -> str:
    """Return the instruction to get a published container of a dataset into its folder."""
    arrays = array_file_names(name)
    dcmh = f", or DCMH's {', '.join(arrays[:-1])} and {arrays[-1]}," if arrays else ""
    return (
        f"put {CONTAINER_FILES[name][0]} (linked from the code of TA-DCH){dcmh} into {root} and install its reader "
        "with `pip install 'retbench-datasets[crossmodal]'`"
    )
