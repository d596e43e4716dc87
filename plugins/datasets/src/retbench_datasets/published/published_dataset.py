"""The base classes of published datasets, with a unimodal edition, a cross-modal edition, or both."""

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
from retbench_datasets.editions.hash_sampling import draw_balanced, draw_uniform
from retbench_datasets.editions.text_table import digest_text_tables
from retbench_datasets.editions.unimodal_edition import UnimodalEdition
from retbench_datasets.formats.label_matrix import LabeledImages
from retbench_datasets.images.decoding import CROP_MEANINGS, Crop
from retbench_datasets.images.image_dataset import ImageDataset
from retbench_datasets.images.image_index import ImageIndex


class PublishedDataset(ImageDataset):
    """A published dataset in `data/<name>`, with an option `edition`.

    Class attributes that a dataset sets:
        crossmodal_download: the original download of its cross-modal edition.
        crossmodal_container: the same as a published .mat file, used if such a file exists.
    """

    upright: ClassVar[bool] = False  # as in the published loaders
    crossmodal_download: ClassVar[CrossmodalSource]
    crossmodal_container: ClassVar[type[ContainerSource]]

    # Excluded from recipes: only `prepare` reads it, and the files that it writes are in the fingerprint.
    transposed: bool = Field(
        False,
        exclude=True,
        description="whether a published .mat file stores its images width first; read by `prepare` only",
    )

    @abstractmethod
    def selected_edition(self) -> Edition:
        """Return the edition that the options select."""

    def crossmodal_source(self) -> CrossmodalSource:
        """Return the source of the cross-modal edition: a published container if there is one, or the download.

        Published files without images are also selected, to be refused, unless the whole download is next to them.
        """
        container = self.crossmodal_container(self.transposed)
        if container.is_present(self.root):
            return container
        if container.has_unusable_files(self.root) and not self.crossmodal_download.is_complete(self.root):
            return container
        return self.crossmodal_download

    def index(self) -> ImageIndex:
        return self.selected_edition().index()

    def missing(self) -> str | None:
        return self.selected_edition().missing()

    def prepare(self) -> Iterator[str]:
        """Build missing lists and texts from the original download, and yield a line for each step.

        Raises:
            UserError: a file of the download, or an existing list, is malformed, or they contradict each other.
        """
        yield from self.selected_edition().prepare()

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        """Return the differences to the published splits: other sizes, drawn or rebuilt lists."""
        return (*super().caveats(facts), *self.selected_edition().caveats(facts.sizes))

    def facts(self) -> Facts:
        tables = self.selected_edition().texts()
        return replace(super().facts(), text_width=tables["query"].values.shape[1] if tables else 0)

    def fingerprint(self) -> str:
        """Return a digest of the options, ids, labels, classes, texts and image files."""
        images, tables = super().fingerprint(), self.selected_edition().texts()
        return hashlib.sha256(f"{images} {digest_text_tables(tables)}".encode()).hexdigest() if tables else images

    def texts(self, split: Split, rows: Sequence[int]) -> Tensor:
        """Return float32 (B, T), one text per row; raises UserError with the row of a text that is not finite."""
        tables = self.selected_edition().texts()
        return torch.from_numpy(tables[split].rows(rows)) if tables else super().texts(split, rows)


class TwoEditionDataset(PublishedDataset):
    """A dataset with published image lists in `data/<name>`, and a cross-modal edition in a folder below it.

    Class attributes that a dataset sets for its unimodal edition:
        published_classes: names of the label columns, in the order of the published lists.
        published_sizes: rows of each split. Source: RetPur, Table 5.
        balanced: whether queries and training rows are drawn class by class if their lists are not published.
    """

    published_classes: ClassVar[tuple[str, ...]]
    published_sizes: ClassVar[Mapping[Split, int]]
    balanced: ClassVar[bool] = False

    edition: Literal["unimodal", "crossmodal"] = Field(
        "unimodal",
        description="unimodal: the splits of RetPur's Table 5; crossmodal: those of its Table 6, with texts and "
        "other classes",
    )

    @model_validator(mode="before")
    @classmethod
    def _set_default_crop(cls, options: Any) -> Any:
        """Set the default crop of the edition as an option, so that recipes record it."""
        if not isinstance(options, Mapping):
            return options
        return {"crop": "stretch" if options.get("edition") == "crossmodal" else "center", **options}

    @abstractmethod
    def download_steps(self) -> tuple[str, ...]:
        """Return the instructions before `retbench datasets prepare` for the unimodal edition."""

    @abstractmethod
    def label_files(self) -> tuple[Path, ...]:
        """Return the files of the original download that the lists are built from."""

    @abstractmethod
    def labeled_images(self) -> LabeledImages:
        """Return every image that may be in a split, in the order of the database; raises UserError with file:line."""

    def selected_edition(self) -> Edition:
        if self.edition == "crossmodal":
            return CrossmodalEdition(self.root, self.crossmodal_source(), f"{self.name} --set edition=crossmodal")
        return UnimodalEdition(
            root=self.root,
            name=self.name,
            classes=self.published_classes,
            sizes=self.published_sizes,
            download_steps=self.download_steps(),
            license=self.crossmodal_download.license,
            label_files=self.label_files(),
            labeled_images=self.labeled_images,
            draw=draw_balanced if self.balanced else draw_uniform,
        )


class CrossmodalDataset(PublishedDataset):
    """A dataset with a text for each image, and no other edition."""

    crop: Crop = Field("stretch", description=CROP_MEANINGS)
    edition: Literal["crossmodal"] = Field("crossmodal", description="the splits of RetPur's Table 6, with texts")

    def selected_edition(self) -> CrossmodalEdition:
        return CrossmodalEdition(self.root, self.crossmodal_source(), self.name)
