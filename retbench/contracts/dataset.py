"""A dataset: the ids, labels, images and texts of three splits."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from torch import Tensor

from retbench.canon import digest
from retbench.contracts.component import Component, Kind
from retbench.contracts.facts import Facts, Split
from retbench.file_digests import read_files


def data_root() -> Path:
    """Return the folder of all datasets: `RETBENCH_DATA`, or `data/` in the current folder."""
    return Path(os.environ.get("RETBENCH_DATA") or "data")


def identify_dataset(dataset: Dataset, code: str | None = None) -> str:
    """Return the identity of a dataset in recipes: its fingerprint, for a local class combined with the class's code.

    The fingerprint is computed once per dataset until `forget_fingerprints` is called, because each recipe has it.

    Args:
        dataset: the dataset.
        code: a code to use in place of the class's own; None for the class's own.
    """
    _, fingerprint = _fingerprints.get(id(dataset)) or _fingerprints.setdefault(
        id(dataset), (dataset, dataset.fingerprint())
    )
    code = dataset.code if code is None else code
    return digest([fingerprint, code]) if code else fingerprint


def forget_fingerprints() -> None:
    """Compute every fingerprint anew when it is needed next, so that files which changed meanwhile are noticed."""
    _fingerprints.clear()


# By identity, with the dataset itself so that no other object gets its number: datasets of bundles may be equal.
_fingerprints: dict[int, tuple[Dataset, str]] = {}


class ImageFile(NamedTuple):
    """What tells the file of an image from others.

    Attributes:
        file: the same for every path, link or copy in a list that leads to one file.
        content: the sha256 of its bytes; None if it is not known.
    """

    file: str
    content: str | None

    @classmethod
    def read(cls, paths: Sequence[str | Path]) -> list[ImageFile]:
        """Return the file of each path; only files that changed since the last run are read, as by `digest_files`.

        Raises:
            OSError: a file cannot be read.
        """
        return [cls(f"{state.device}:{state.inode}", content) for state, content in read_files(paths)]


class Dataset(Component):
    """Images with multi-hot labels and, for a cross-modal dataset, texts.

    A path is never an option: files are in `data_root()/<name>`, so that recipes are the same on every machine.
    """

    kind: ClassVar[Kind] = "dataset"

    @property
    def root(self) -> Path | None:
        """The folder of the dataset's files; None for a dataset without files."""
        return None

    def missing(self) -> str | None:
        """Return which files are missing and the exact steps to get them, or None if the dataset can be read.

        Called before every other method. The cells of a dataset with missing files are skipped with this text as the
        reason.
        """
        return None

    def prepare(self) -> Iterator[str]:
        """Build the files that can be made without a download, such as split lists, and yield one line for each.

        The default does nothing. Each file is written completely or not at all, and a second call changes nothing. Call
        `missing` afterwards for the files that are still missing.

        Raises:
            UserError: a source file is malformed; the message names file and line.
        """
        yield from ()

    @abstractmethod
    def facts(self) -> Facts:
        """Return image size, classes, split sizes and text width; must not decode an image."""

    def fingerprint(self) -> str:
        """Return a digest that changes whenever an id, a label, an image or a text changes.

        The default is the digest of name, revision and options, which suits a dataset that is generated or shipped with
        its plugin. A dataset that reads files must digest their bytes as well: `retbench.digest_files(paths)` reads
        only files that changed since the last run. It is called once per plan, and again before and after the plan is
        run; an exception then means that the files have changed.
        """
        return digest({"name": self.name, "revision": self.revision, "options": self.options_json()})

    def image_files(self, split: Split) -> Sequence[ImageFile] | None:
        """Return the files of a split's images in row order, from `ImageFile.read`; None if the images are no files.

        Plans compare them: a query whose file, or a copy of it, is in another split makes results meaningless.
        """
        return None

    @abstractmethod
    def ids(self, split: Split) -> Sequence[str]:
        """Return the ids of a split in row order; query ids are unique, and an id is the same image in all splits."""

    @abstractmethod
    def labels(self, split: Split) -> Tensor:
        """Return the labels of a split in row order: multi-hot uint8 (N, C); a row may have no class."""

    @abstractmethod
    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        """Return the images at `rows` of a split, in this order: uint8 (B, 3, H, W); no rows give (0, 3, H, W)."""

    def texts(self, split: Split, rows: Sequence[int]) -> Tensor:
        """Return the texts of the images at `rows`, in this order: float32 (B, T); an empty text is all zero.

        Raises:
            LookupError: the dataset has no texts (`facts().text_width` is 0).
        """
        raise LookupError(f"dataset {self.name}: it has no texts")
