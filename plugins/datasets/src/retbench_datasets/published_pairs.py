"""Data sets that are published with texts only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from retbench_datasets.paired_edition import PairedEdition
from retbench_datasets.picture_files import CROPS
from retbench_datasets.pictures import Crop
from retbench_datasets.published_pictures import PublishedPictures


class PublishedPairs(PublishedPictures):
    """A data set with a text for each picture, and no other edition."""

    crop: Crop = Field("stretch", description=CROPS)
    edition: Literal["crossmodal"] = Field("crossmodal", description="the splits of RetPur's Table 6, with texts")

    def chosen(self) -> PairedEdition:
        return PairedEdition(self.root, self.paired_source(), self.name)
