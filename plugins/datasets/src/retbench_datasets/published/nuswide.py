"""NUS-WIDE: the pictures that show at least one of its 21 most frequent concepts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from retbench_datasets.editions.container_source import FromContainer
from retbench_datasets.editions.crossmodal_source import PairedSource
from retbench_datasets.editions.unimodal_splits import Originals, keep_labelled
from retbench_datasets.formats.nuswide import concept_paths, read_concepts
from retbench_datasets.images.image_index import Split
from retbench_datasets.published.nuswide_pairs import NuswideContainer, NuswidePairs
from retbench_datasets.published.published import PublishedSplits

# By falling frequency in NUS-WIDE, roughly: the order of the published lists. Their columns go together as these names
# would have it: 87 % of lake, 82 % of ocean and 77 % of beach are water, 58 % of beach is ocean, 90 % of sunset is sky,
# 62 % of flowers are plants, 24 % of mountain is snow, 37 % of vehicle has a window.
CLASSES = (
    *("sky", "clouds", "person", "water", "animal", "grass", "buildings", "window", "plants", "lake", "ocean"),
    *("road", "flowers", "sunset", "reflection", "rocks", "vehicle", "snow", "tree", "beach", "mountain"),
)


class Nuswide(PublishedSplits):
    """195 834 photographs, 21 concepts, about 3 a picture; queries hold 100 of each, training rows 500.

    The cross-modal edition has the same pictures, the classes in another order, and tags: see `NuswidePairs`.
    """

    name: ClassVar[str] = "nuswide"
    source: ClassVar[str] = "Chua et al. 2009, NUS-WIDE; lists: Wang et al. 2021, ProS-GAN"
    published_classes: ClassVar[tuple[str, ...]] = CLASSES
    published_sizes: ClassVar[Mapping[Split, int]] = {"train": 10_500, "query": 2100, "database": 193_734}
    balanced: ClassVar[bool] = True
    crossmodal: ClassVar[PairedSource] = NuswidePairs()
    container: ClassVar[type[FromContainer]] = NuswideContainer

    def steps(self) -> str:
        return (
            "(1) ask for the pictures and download Groundtruth.zip and ImageList.zip at "
            "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html; (2) put all pictures, "
            f"without their folders, into {self.root}/images/<4 digits>_<number>.jpg, and unpack "
            f"{self.root}/Groundtruth/AllLabels/Labels_*.txt and {self.root}/ImageList/Imagelist.txt; (3) for the "
            "published split, put data/NUS-WIDE/{train,test}_{img,label}.txt of ProS-GAN's code into "
            f"{self.root} (the database list is rebuilt)"
        )

    def label_files(self) -> tuple[Path, ...]:
        return concept_paths(self.root, CLASSES)

    def originals(self) -> Originals:
        """Returns the pictures with a label, in the order of `Imagelist.txt`."""
        return keep_labelled(*read_concepts(self.root, CLASSES))
