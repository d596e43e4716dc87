"""NUS-WIDE: the images that show at least one of its 21 most frequent concepts, without texts or with tags."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from retbench import Split, UserError
from retbench_datasets.editions.container_source import ContainerSource
from retbench_datasets.editions.crossmodal_source import CrossmodalSource, ImageTextPairs
from retbench_datasets.formats.label_matrix import LabeledImages, keep_labeled
from retbench_datasets.formats.nuswide import concept_paths, read_concepts, stream_tags, tags_path
from retbench_datasets.published.published_dataset import TwoEditionDataset

PROGRESS_STEP = 50_000
"""Lines between two lines of progress."""


class NuswideSource(CrossmodalSource):
    """195 834 photographs, 21 concepts in the order of NUS-WIDE's list of 81, a bag of 1000 tags, 0 or 1 each.

    A picture with a concept and without a tag is kept: 5413 texts are empty.

    Source: Jiang and Li 2017, Deep Cross-Modal Hashing; sizes: RetPur, Table 6.
    """

    name: ClassVar[str] = "nuswide"
    classes: ClassVar[tuple[str, ...]] = (
        *(
            "animal",
            "beach",
            "buildings",
            "clouds",
            "flowers",
            "grass",
            "lake",
            "mountain",
            "ocean",
            "person",
            "plants",
        ),
        *("reflection", "road", "rocks", "sky", "snow", "sunset", "tree", "vehicle", "water", "window"),
    )
    sizes: ClassVar[Mapping[Split, int]] = {"train": 10_500, "query": 2100, "database": 193_734}
    text_width: ClassVar[int] = 1000
    license: ClassVar[str] = (
        "License: for research that is not commercial; the pictures are their photographers', so that retbench may not "
        "ship them."
    )

    def steps(self, root: Path) -> str:
        return (
            "(1) ask for the pictures and download Groundtruth.zip, ImageList.zip and NUS_WID_Tags.zip at "
            "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html; (2) put all pictures, "
            f"without their folders, into {root}/images/<4 digits>_<number>.jpg, and unpack "
            f"{root}/Groundtruth/AllLabels/Labels_*.txt, {root}/ImageList/Imagelist.txt and "
            f"{root}/NUS_WID_Tags/AllTags1k.txt"
        )

    def files(self, root: Path) -> tuple[Path, ...]:
        return (*concept_paths(root, self.classes), tags_path(root))

    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        """Returns the pictures with a concept in the order of `Imagelist.txt`; the texts are mapped from `draft`."""
        names, labels = read_concepts(root, self.classes)
        shown: NDArray[np.bool_] = np.any(labels, axis=1)
        rows = np.cumsum(shown) - 1
        texts = np.lib.format.open_memmap(
            draft / "texts.npy", mode="w+", dtype=np.uint8, shape=(int(shown.sum()), self.text_width)
        )
        line = -1
        for line, tags in enumerate(stream_tags(tags_path(root), self.text_width)):
            if line < len(names) and shown[line]:
                texts[rows[line]] = tags
            if (line + 1) % PROGRESS_STEP == 0:
                yield f"{tags_path(root)}: {line + 1} lines read"
        if line + 1 != len(names):
            raise UserError(
                f"{tags_path(root)}: it does not fit Imagelist.txt: got {line + 1} lines, expected {len(names)}"
            )
        kept = tuple(names[row] for row in np.flatnonzero(shown).tolist())
        yield f"{root}: {len(kept)} pictures have a label, {int((~texts.any(axis=1)).sum())} of them no tag"
        return ImageTextPairs(kept, labels[shown], texts)


class NuswideContainerSource(ContainerSource, NuswideSource):
    """The same from `NUS-WIDE.mat` or DCMH's three files."""


# By falling frequency in NUS-WIDE, roughly: the order of the published lists. Their columns go together as these names
# would have it: 87 % of lake, 82 % of ocean and 77 % of beach are water, 58 % of beach is ocean, 90 % of sunset is sky,
# 62 % of flowers are plants, 24 % of mountain is snow, 37 % of vehicle has a window.
CLASSES = (
    *("sky", "clouds", "person", "water", "animal", "grass", "buildings", "window", "plants", "lake", "ocean"),
    *("road", "flowers", "sunset", "reflection", "rocks", "vehicle", "snow", "tree", "beach", "mountain"),
)


class Nuswide(TwoEditionDataset):
    """195 834 photographs, 21 concepts, about 3 a picture; queries hold 100 of each, training rows 500.

    The cross-modal edition has the same pictures, the classes in another order, and tags: see `NuswideSource`.
    """

    name: ClassVar[str] = "nuswide"
    source: ClassVar[str] = "Chua et al. 2009, NUS-WIDE; lists: Wang et al. 2021, ProS-GAN"
    published_classes: ClassVar[tuple[str, ...]] = CLASSES
    published_sizes: ClassVar[Mapping[Split, int]] = {"train": 10_500, "query": 2100, "database": 193_734}
    balanced: ClassVar[bool] = True
    crossmodal: ClassVar[CrossmodalSource] = NuswideSource()
    container: ClassVar[type[ContainerSource]] = NuswideContainerSource

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

    def labeled_images(self) -> LabeledImages:
        """Returns the pictures with a label, in the order of `Imagelist.txt`."""
        return keep_labeled(*read_concepts(self.root, CLASSES))
