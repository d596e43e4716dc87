"""NUS-WIDE: the images with at least one of its 21 most frequent concepts, without texts or with tags."""

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

DOWNLOAD_PAGE = "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html"
PROGRESS_STEP = 50_000
"""Lines of the tag file between two progress lines."""


class NuswideSource(CrossmodalSource):
    """195 834 photographs, 21 concepts in the order of NUS-WIDE's list of 81, and a vector of 1000 tags, 0 or 1.

    An image with a concept but without a tag is kept: 5413 texts are empty.

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
        "License: for non-commercial research; the images belong to their photographers; retbench may not ship them."
    )

    def download_steps(self, root: Path) -> tuple[str, ...]:
        return (
            f"request the images and download Groundtruth.zip, ImageList.zip and NUS_WID_Tags.zip at {DOWNLOAD_PAGE}",
            f"move all images, without their folders, into {root}/images (names: <4 digits>_<number>.jpg), and unpack "
            f"the archives so that these files exist: {root}/Groundtruth/AllLabels/Labels_*.txt, "
            f"{root}/ImageList/Imagelist.txt and {root}/NUS_WID_Tags/AllTags1k.txt",
        )

    def required_files(self, root: Path) -> tuple[Path, ...]:
        return (*concept_paths(root, self.classes), tags_path(root))

    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        """Yield progress lines and return the images with a concept in the order of `Imagelist.txt`.

        The texts are mapped from a file in `draft`.
        """
        names, labels = read_concepts(root, self.classes)
        labeled: NDArray[np.bool_] = np.any(labels, axis=1)
        rows = np.cumsum(labeled) - 1
        texts = np.lib.format.open_memmap(
            draft / "texts.npy", mode="w+", dtype=np.uint8, shape=(int(labeled.sum()), self.text_width)
        )
        line = -1
        for line, tags in enumerate(stream_tags(tags_path(root), self.text_width)):
            if line < len(names) and labeled[line]:
                texts[rows[line]] = tags
            if (line + 1) % PROGRESS_STEP == 0:
                yield f"{tags_path(root)}: {line + 1} lines read"
        if line + 1 != len(names):
            raise UserError(
                f"{tags_path(root)}: it does not fit Imagelist.txt: got {line + 1} lines, expected {len(names)}"
            )
        kept = tuple(names[row] for row in np.flatnonzero(labeled).tolist())
        yield f"{root}: {len(kept)} images have a label, {int((~texts.any(axis=1)).sum())} of them no tag"
        return ImageTextPairs(kept, labels[labeled], texts)


class NuswideContainerSource(ContainerSource, NuswideSource):
    """The same data from `NUS-WIDE.mat` or DCMH's three files."""


# Roughly by falling frequency in NUS-WIDE: the order of the published lists. The columns co-occur as these names
# suggest: 87 % of lake, 82 % of ocean and 77 % of beach are water, 58 % of beach is ocean, 90 % of sunset is sky,
# 62 % of flowers are plants, 24 % of mountain is snow, 37 % of vehicle has a window.
CLASSES = (
    *("sky", "clouds", "person", "water", "animal", "grass", "buildings", "window", "plants", "lake", "ocean"),
    *("road", "flowers", "sunset", "reflection", "rocks", "vehicle", "snow", "tree", "beach", "mountain"),
)


class Nuswide(TwoEditionDataset):
    """195 834 photographs, 21 concepts, about 3 per image; 100 queries and 500 training rows per concept.

    The cross-modal edition has the same images, the classes in another order, and tags: see `NuswideSource`.
    """

    name: ClassVar[str] = "nuswide"
    source: ClassVar[str] = "Chua et al. 2009, NUS-WIDE; lists: Wang et al. 2021, ProS-GAN"
    published_classes: ClassVar[tuple[str, ...]] = CLASSES
    published_sizes: ClassVar[Mapping[Split, int]] = {"train": 10_500, "query": 2100, "database": 193_734}
    balanced: ClassVar[bool] = True
    crossmodal_download: ClassVar[CrossmodalSource] = NuswideSource()
    crossmodal_container: ClassVar[type[ContainerSource]] = NuswideContainerSource

    def download_steps(self) -> tuple[str, ...]:
        return (
            f"request the images and download Groundtruth.zip and ImageList.zip at {DOWNLOAD_PAGE}",
            f"move all images, without their folders, into {self.root}/images (names: <4 digits>_<number>.jpg), and "
            f"unpack the archives so that these files exist: {self.root}/Groundtruth/AllLabels/Labels_*.txt and "
            f"{self.root}/ImageList/Imagelist.txt",
            "for the published splits, put data/NUS-WIDE/{train,test}_{img,label}.txt of ProS-GAN's code into "
            f"{self.root} (the database list is rebuilt)",
        )

    def label_files(self) -> tuple[Path, ...]:
        return concept_paths(self.root, CLASSES)

    def labeled_images(self) -> LabeledImages:
        """Return the images with a label, in the order of `Imagelist.txt`."""
        return keep_labeled(*read_concepts(self.root, CLASSES))
