"""FLICKR-25K: the 25 000 pictures of MIRFLICKR with all 38 of its annotations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from retbench_datasets.editions.container_source import FromContainer
from retbench_datasets.editions.crossmodal_source import PairedSource
from retbench_datasets.editions.unimodal_splits import Originals
from retbench_datasets.formats.mirflickr import PICTURES, annotation_paths, picture_path, read_annotations
from retbench_datasets.images.image_index import Split
from retbench_datasets.published.flickr25k_pairs import Flickr25kContainer, Flickr25kPairs
from retbench_datasets.published.published import PublishedSplits

# The published lists were made in the order in which a file system returned the annotation files. The names of their
# columns were recovered: DeepHash-pytorch publishes the same labels in the files' alphabetical order, and on the 18 617
# pictures that both hold the columns match one to one. Every *_r1 column lies within its potential one (4 of 7849 rows
# of people_r1 aside), and sea, river and lake lie within water. `prepare` compares again where both are at hand.
CLASSES = (
    *("clouds", "sky", "lake", "tree", "indoor", "female_r1", "portrait", "dog"),
    *("river_r1", "flower_r1", "animals", "car", "sea", "night", "transport", "sunset"),
    *("people", "bird_r1", "flower", "clouds_r1", "food", "baby_r1", "sea_r1", "night_r1"),
    *("structures", "dog_r1", "car_r1", "water", "baby", "male_r1", "plant_life", "portrait_r1"),
    *("tree_r1", "bird", "people_r1", "male", "river", "female"),
)


class Flickr25k(PublishedSplits):
    """25 000 photographs, 38 classes: 24 potential labels and 14 relevant ones (`_r1`), 4.7 a picture.

    381 pictures of the database and 38 queries have no label in the published lists: no database item answers such a
    query, so a perfect system reaches a MAP of 0.978. 504 rows of the published training list repeat others. The
    cross-modal edition has another 20 015 pictures, 24 classes, and tags: see `Flickr25kPairs`.
    """

    name: ClassVar[str] = "flickr25k"
    source: ClassVar[str] = (
        "Huiskes and Lew 2008, The MIR Flickr Retrieval Evaluation; lists: Wang et al. 2021, ProS-GAN"
    )
    published_classes: ClassVar[tuple[str, ...]] = CLASSES
    published_sizes: ClassVar[Mapping[Split, int]] = {"train": 5000, "query": 1700, "database": 23_300}
    crossmodal: ClassVar[PairedSource] = Flickr25kPairs()
    container: ClassVar[type[FromContainer]] = Flickr25kContainer

    def steps(self) -> str:
        return (
            "(1) download mirflickr25k.zip and mirflickr25k_annotations_v080.zip from "
            f"https://press.liacs.nl/mirflickr/; (2) unpack them to {self.root}/mirflickr/im1.jpg ... im25000.jpg and "
            f"{self.root}/mirflickr25k_annotations_v080/animals.txt ... water.txt; (3) for the published split, put "
            f"data/FLICKR-25K/{{train,test,database}}_{{img,label}}.txt of ProS-GAN's code into {self.root}"
        )

    def label_files(self) -> tuple[Path, ...]:
        return annotation_paths(self.root, CLASSES)

    def originals(self) -> Originals:
        labels = read_annotations(self.label_files())
        return Originals(tuple(picture_path(number) for number in range(1, PICTURES + 1)), labels)
