"""Data sets of the literature: one name, one or two published editions."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from retbench import Facts
from retbench_datasets.editions.container_source import FromContainer
from retbench_datasets.editions.crossmodal_source import PairedSource
from retbench_datasets.editions.edition import Edition
from retbench_datasets.editions.text_table import digest_texts
from retbench_datasets.images.image_dataset import PictureFiles
from retbench_datasets.images.image_index import Index, Split


class PublishedPictures(PictureFiles):
    """A data set that somebody published, in `data_root()/<name>`, with an option `edition`.

    Class attributes a data set sets:
        crossmodal: the original download of its cross-modal edition.
        container: the same as a published .mat file, taken instead where one is there.
    """

    upright: ClassVar[bool] = False  # as in the published loaders
    crossmodal: ClassVar[PairedSource]
    container: ClassVar[type[FromContainer]]

    # In no recipe: it tells `prepare` how to read, and what that wrote is in the fingerprint.
    transposed: bool = Field(
        False,
        exclude=True,
        description="whether a published .mat file holds its pictures width first; asked for when they are unpacked",
    )

    @abstractmethod
    def chosen(self) -> Edition:
        """Returns the edition that the options choose."""

    def paired_source(self) -> PairedSource:
        """Returns what the cross-modal edition is built from: a published container, or the original download.

        Published files that hold no pictures are told of, but not where the whole download lies beside them.
        """
        container = self.container(self.transposed)
        if container.present(self.root):
            return container
        return (
            container if container.refused(self.root) and not self.crossmodal.complete(self.root) else self.crossmodal
        )

    def index(self) -> Index:
        return self.chosen().index()

    def missing(self) -> str | None:
        return self.chosen().missing()

    def prepare(self) -> Iterator[str]:
        """Yields what was done: builds the lists, and texts, that are missing from the files of the original download.

        Raises:
            UserError: a file of it, or a list that is there, is malformed, or they contradict each other.
        """
        yield from self.chosen().prepare()

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        """Returns in which way the splits are not the published ones: other sizes, drawn or rebuilt lists."""
        return self.chosen().caveats(facts.sizes)

    def facts(self) -> Facts:
        tables = self.chosen().texts()
        return replace(super().facts(), text_width=tables["query"].values.shape[1] if tables else 0)

    def fingerprint(self) -> str:
        """Returns a digest of the options, ids, labels, classes, texts and the picture files' sizes."""
        rest, tables = super().fingerprint(), self.chosen().texts()
        return hashlib.sha256(f"{rest} {digest_texts(tables)}".encode()).hexdigest() if tables else rest

    def texts(self, split: Split, rows: Sequence[int]) -> Tensor:
        """Returns float32 (B, T), one text a row; raises UserError naming the row of one that is not finite."""
        tables = self.chosen().texts()
        return torch.from_numpy(tables[split].rows(rows)) if tables else super().texts(split, rows)
