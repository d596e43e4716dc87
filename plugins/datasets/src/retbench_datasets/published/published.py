"""Data sets of the literature with a uni-modal edition and a cross-modal one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from retbench_datasets.editions.crossmodal_edition import PairedEdition
from retbench_datasets.editions.edition import Edition
from retbench_datasets.editions.hash_sampling import draw_any, draw_balanced
from retbench_datasets.editions.unimodal_edition import ListedEdition
from retbench_datasets.editions.unimodal_splits import Originals
from retbench_datasets.images.image_index import Split
from retbench_datasets.published.published_dataset import PublishedPictures


class PublishedSplits(PublishedPictures):
    """A data set with a published split, read from lists in `data_root()/<name>`, and a cross-modal edition below it.

    Class attributes a data set sets for its uni-modal edition:
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
    def _crop_as_usual(cls, options: Any) -> Any:
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
    def originals(self) -> Originals:
        """Returns every picture that may be in a split, in the database's order; raises UserError naming file:line."""

    def chosen(self) -> Edition:
        if self.edition == "crossmodal":
            return PairedEdition(self.root, self.paired_source(), f"{self.name} --set edition=crossmodal")
        return ListedEdition(
            root=self.root,
            name=self.name,
            classes=self.published_classes,
            sizes=self.published_sizes,
            steps=self.steps(),
            licence=self.crossmodal.licence,
            label_files=self.label_files(),
            originals=self.originals,
            draw=draw_balanced if self.balanced else draw_any,
        )
