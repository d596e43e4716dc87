"""FLICKR-25K: the 25 000 images of MIRFLICKR with 38 classes, or the images with a common tag, with their tags."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from retbench import Split
from retbench_datasets.editions.container_source import ContainerSource
from retbench_datasets.editions.crossmodal_source import CrossmodalSource, ImageTextPairs
from retbench_datasets.formats.label_matrix import LabeledImages
from retbench_datasets.formats.mirflickr import (
    IMAGES,
    annotation_paths,
    image_path,
    read_annotations,
    read_tags,
    read_vocabulary,
    vocabulary_path,
)
from retbench_datasets.published.published_dataset import TwoEditionDataset


class Flickr25kSource(CrossmodalSource):
    """20 015 photographs, the 24 potential labels in alphabetical order, and a vector of 1386 tags, 0 or 1.

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
    license: ClassVar[str] = (
        "License: the photographers' Creative Commons licenses, listed with the images; retbench may not ship them."
    )

    def download_steps(self, root: Path) -> tuple[str, ...]:
        return (
            "download mirflickr25k.zip and mirflickr25k_annotations_v080.zip from https://press.liacs.nl/mirflickr/",
            f"unpack them so that these files exist: {root}/mirflickr/im1.jpg ... im25000.jpg, "
            f"{root}/mirflickr/doc/common_tags.txt, {root}/mirflickr/meta/tags/tags1.txt ... and "
            f"{root}/mirflickr25k_annotations_v080/animals.txt ... water.txt",
        )

    def required_files(self, root: Path) -> tuple[Path, ...]:
        return (vocabulary_path(root), *annotation_paths(root, self.classes))

    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        """Yield progress lines and return the pairs by ascending image number; `draft` is not used."""
        labels = read_annotations(annotation_paths(root, self.classes))
        column_of = read_vocabulary(vocabulary_path(root), self.text_width)
        texts = np.zeros((len(labels), len(column_of)), dtype=np.uint8)
        labeled = np.flatnonzero(labels.any(axis=1))
        for row in labeled.tolist():
            texts[row, [column_of[tag] for tag in read_tags(root, row + 1) if tag in column_of]] = 1
        kept = labeled[texts[labeled].any(axis=1)]
        yield f"{root}: {len(labeled)} images have a label, {len(kept)} of them a common tag"
        return ImageTextPairs(tuple(image_path(row + 1) for row in kept.tolist()), labels[kept], texts[kept])


class Flickr25kContainerSource(ContainerSource, Flickr25kSource):
    """The same data from `FLICKR-25K.mat` or DCMH's three files."""


# The columns of the published lists are in the order in which a file system returned the annotation files. Their names
# were recovered: DeepHash-pytorch publishes the same labels in alphabetical order, and on the 18 617 images that both
# contain, the columns match one to one. Every *_r1 column is a subset of its potential column (except 4 of
# 7849 rows of people_r1), and sea, river and lake are subsets of water. `prepare` compares lists and annotations again.
CLASSES = (
    *("clouds", "sky", "lake", "tree", "indoor", "female_r1", "portrait", "dog"),
    *("river_r1", "flower_r1", "animals", "car", "sea", "night", "transport", "sunset"),
    *("people", "bird_r1", "flower", "clouds_r1", "food", "baby_r1", "sea_r1", "night_r1"),
    *("structures", "dog_r1", "car_r1", "water", "baby", "male_r1", "plant_life", "portrait_r1"),
    *("tree_r1", "bird", "people_r1", "male", "river", "female"),
)


class Flickr25k(TwoEditionDataset):
    """25 000 photographs, 38 classes: 24 potential labels and 14 relevant ones (`_r1`), 4.7 per image.

    381 images of the database and 38 queries have no label in the published lists: no database item is relevant to such
    a query, so a perfect system reaches a MAP of 0.978. 504 rows of the published training list repeat others. The
    cross-modal edition has 20 015 of the images, 24 classes, and tags: see `Flickr25kSource`.
    """

    name: ClassVar[str] = "flickr25k"
    source: ClassVar[str] = (
        "Huiskes and Lew 2008, The MIR Flickr Retrieval Evaluation; lists: Wang et al. 2021, ProS-GAN"
    )
    published_classes: ClassVar[tuple[str, ...]] = CLASSES
    published_sizes: ClassVar[Mapping[Split, int]] = {"train": 5000, "query": 1700, "database": 23_300}
    crossmodal_download: ClassVar[CrossmodalSource] = Flickr25kSource()
    crossmodal_container: ClassVar[type[ContainerSource]] = Flickr25kContainerSource

    def download_steps(self) -> tuple[str, ...]:
        return (
            "download mirflickr25k.zip and mirflickr25k_annotations_v080.zip from https://press.liacs.nl/mirflickr/",
            f"unpack them so that these files exist: {self.root}/mirflickr/im1.jpg ... im25000.jpg and "
            f"{self.root}/mirflickr25k_annotations_v080/animals.txt ... water.txt",
            "for the published splits, put data/FLICKR-25K/{train,test,database}_{img,label}.txt of ProS-GAN's code "
            f"into {self.root}",
        )

    def label_files(self) -> tuple[Path, ...]:
        return annotation_paths(self.root, CLASSES)

    def labeled_images(self) -> LabeledImages:
        labels = read_annotations(self.label_files())
        return LabeledImages(tuple(image_path(number) for number in range(1, IMAGES + 1)), labels)
