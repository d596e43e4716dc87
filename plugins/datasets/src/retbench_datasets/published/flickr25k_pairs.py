"""FLICKR-25K with tags: the pictures of MIRFLICKR that have a common tag and a label."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from retbench_datasets.editions.container_source import FromContainer
from retbench_datasets.editions.crossmodal_source import PairedSource
from retbench_datasets.editions.pairs import Pairs
from retbench_datasets.formats.mirflickr import (
    annotation_paths,
    picture_path,
    read_annotations,
    read_tags,
    read_vocabulary,
    vocabulary_path,
)
from retbench_datasets.images.image_index import Split


class Flickr25kPairs(PairedSource):
    """20 015 photographs, the 24 potential labels in alphabetical order, a bag of 1386 tags, 0 or 1 each.

    Source: Jiang and Li 2017, Deep Cross-Modal Hashing; sizes: RetPur, Table 6.
    """

    name: ClassVar[str] = "flickr25k"
    classes: ClassVar[tuple[str, ...]] = (
        *("animals", "baby", "bird", "car", "clouds", "dog", "female", "flower", "food", "indoor", "lake", "male"),
        *("night", "people", "plant_life", "portrait", "river", "sea", "sky", "structures", "sunset", "transport"),
        *("tree", "water"),
    )
    sizes: ClassVar[Mapping[Split, int]] = {"train": 5000, "query": 2000, "database": 18_015}
    text_width: ClassVar[int] = 1386
    licence: ClassVar[str] = (
        "Licence: the photographers' Creative Commons licences, listed with the pictures; retbench may not ship them."
    )

    def steps(self, root: Path) -> str:
        return (
            "(1) download mirflickr25k.zip and mirflickr25k_annotations_v080.zip from "
            f"https://press.liacs.nl/mirflickr/; (2) unpack them to {root}/mirflickr/im1.jpg ... im25000.jpg, "
            f"{root}/mirflickr/doc/common_tags.txt, {root}/mirflickr/meta/tags/tags1.txt ... and "
            f"{root}/mirflickr25k_annotations_v080/animals.txt ... water.txt"
        )

    def files(self, root: Path) -> tuple[Path, ...]:
        return (vocabulary_path(root), *annotation_paths(root, self.classes))

    def read(self, root: Path, draft: Path) -> Generator[str, None, Pairs]:
        """Returns the pictures by ascending number; `draft` is not needed."""
        labels = read_annotations(annotation_paths(root, self.classes))
        column_of = read_vocabulary(vocabulary_path(root), self.text_width)
        texts = np.zeros((len(labels), len(column_of)), dtype=np.uint8)
        labelled = np.flatnonzero(labels.any(axis=1))
        for row in labelled.tolist():
            texts[row, [column_of[tag] for tag in read_tags(root, row + 1) if tag in column_of]] = 1
        kept = labelled[texts[labelled].any(axis=1)]
        yield f"{root}: {len(labelled)} pictures have a label, {len(kept)} of them a common tag"
        return Pairs(tuple(picture_path(row + 1) for row in kept.tolist()), labels[kept], texts[kept])


class Flickr25kContainer(FromContainer, Flickr25kPairs):
    """The same from `FLICKR-25K.mat` or DCMH's three files."""
