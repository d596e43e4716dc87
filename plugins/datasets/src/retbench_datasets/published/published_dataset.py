"""What a published dataset is: one name, and a uni-modal edition, a cross-modal one, or both."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from retbench import Facts, Split
from retbench_datasets.editions.container_source import ContainerSource
from retbench_datasets.editions.crossmodal_edition import CrossmodalEdition
from retbench_datasets.editions.crossmodal_source import CrossmodalSource
from retbench_datasets.editions.edition import Edition
from retbench_datasets.editions.hash_sampling import draw_any, draw_balanced
from retbench_datasets.editions.text_table import digest_text_tables
from retbench_datasets.editions.unimodal_edition import UnimodalEdition
from retbench_datasets.formats.label_matrix import LabeledImages
from retbench_datasets.images.decoding import CROP_MEANINGS, Crop
from retbench_datasets.images.image_dataset import ImageDataset
from retbench_datasets.images.image_index import ImageIndex


class PublishedDataset(ImageDataset):
    """A dataset that somebody published, in `data_root()/<name>`, with an option `edition`.

    Class attributes a dataset sets:
        crossmodal: the original download of its cross-modal edition.
        container: the same as a published .mat file, taken instead where one is there.
    """

    upright: ClassVar[bool] = False  # as in the published loaders
    crossmodal: ClassVar[CrossmodalSource]
    container: ClassVar[type[ContainerSource]]

    # In no recipe: `prepare` alone reads it, and the files that it writes are in the fingerprint.
    transposed: bool = Field(
        False,
        exclude=True,
        description="whether a published .mat file holds its pictures width first; asked for when they are unpacked",
    )

    @abstractmethod
    def selected_edition(self) -> Edition:
        """Returns the edition that the options choose."""

    def crossmodal_source(self) -> CrossmodalSource:
        """Returns what the cross-modal edition is built from: a published container, or the original download.

        Published files without images are refused, except where the whole download lies beside them.
        """
        container = self.container(self.transposed)
        if container.present(self.root):
            return container
        return (
            container if container.refused(self.root) and not self.crossmodal.complete(self.root) else self.crossmodal
        )

    def index(self) -> ImageIndex:
        return self.selected_edition().index()

    def missing(self) -> str | None:
        return self.selected_edition().missing()

    def prepare(self) -> Iterator[str]:
        """Yields what was done: builds the lists, and texts, that are missing from the files of the original download.

        Raises:
            UserError: a file of it, or a list that is there, is malformed, or they contradict each other.
        """
        yield from self.selected_edition().prepare()

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        """Returns in which way the splits are not the published ones: other sizes, drawn or rebuilt lists."""
        return self.selected_edition().caveats(facts.sizes)

    def facts(self) -> Facts:
        tables = self.selected_edition().texts()
        return replace(super().facts(), text_width=tables["query"].values.shape[1] if tables else 0)

    def fingerprint(self) -> str:
        """Returns a digest of the options, ids, labels, classes, texts and the picture files' sizes."""
        rest, tables = super().fingerprint(), self.selected_edition().texts()
        return hashlib.sha256(f"{rest} {digest_text_tables(tables)}".encode()).hexdigest() if tables else rest

    def texts(self, split: Split, rows: Sequence[int]) -> Tensor:
        """Returns float32 (B, T), one text a row; raises UserError naming the row of one that is not finite."""
        tables = self.selected_edition().texts()
        return torch.from_numpy(tables[split].rows(rows)) if tables else super().texts(split, rows)


class TwoEditionDataset(PublishedDataset):
    """A dataset with a published split, read from lists in `data_root()/<name>`, and a cross-modal edition below it.

    Class attributes a dataset sets for its uni-modal edition:
        published_classes: names of the label columns, in the order of the published lists.
        published_sizes: rows of each split. Source: RetPur, Table 5.
        balanced: whether query and training rows are drawn for one class after the other, where no list is published.
    """

    published_classes: ClassVar[tuple[str, ...]]
    published_sizes: ClassVar[Mapping[Split, int]]
    balanced: ClassVar[bool] = False

    edition: Literal["unimodal", "crossmodal"] = Field(
        "unimodal",
        description="which of the published splits: of RetPur's Table 5, or with texts and fewer classes, of its "
        "Table 6",
    )

    @model_validator(mode="before")
    @classmethod
    def _crop_of_edition(cls, options: Any) -> Any:
        """Makes the edition's usual crop an option, so that a recipe names what was used."""
        if not isinstance(options, Mapping):
            return options
        return {"crop": "stretch" if options.get("edition") == "crossmodal" else "center", **options}

    @abstractmethod
    def steps(self) -> str:
        """Returns the steps before `retbench datasets prepare`: what to get where, and where to put it."""

    @abstractmethod
    def label_files(self) -> tuple[Path, ...]:
        """Returns the files of the original download that the lists are built from."""

    @abstractmethod
    def labeled_images(self) -> LabeledImages:
        """Returns every picture that may be in a split, in the database's order; raises UserError naming file:line."""

    def selected_edition(self) -> Edition:
        if self.edition == "crossmodal":
            return CrossmodalEdition(self.root, self.crossmodal_source(), f"{self.name} --set edition=crossmodal")
        return UnimodalEdition(
            root=self.root,
            name=self.name,
            classes=self.published_classes,
            sizes=self.published_sizes,
            steps=self.steps(),
            license=self.crossmodal.license,
            label_files=self.label_files(),
            labeled_images=self.labeled_images,
            draw=draw_balanced if self.balanced else draw_any,
        )


class CrossmodalDataset(PublishedDataset):
    """A dataset with a text for each picture, and no other edition."""

    crop: Crop = Field("stretch", description=CROP_MEANINGS)
    edition: Literal["crossmodal"] = Field("crossmodal", description="the splits of RetPur's Table 6, with texts")

    def selected_edition(self) -> CrossmodalEdition:
        return CrossmodalEdition(self.root, self.crossmodal_source(), self.name)
