"""Data sets that are published with texts only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from retbench_datasets.editions.crossmodal_edition import PairedEdition
from retbench_datasets.images.decoding import Crop
from retbench_datasets.images.image_dataset import CROPS
from retbench_datasets.published.published_dataset import PublishedPictures


class PublishedPairs(PublishedPictures):
    """A data set with a text for each picture, and no other edition."""

    crop: Crop = Field("stretch", description=CROPS)
    edition: Literal["crossmodal"] = Field("crossmodal", description="the splits of RetPur's Table 6, with texts")

    def chosen(self) -> PairedEdition:
        return PairedEdition(self.root, self.paired_source(), self.name)
