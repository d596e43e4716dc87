"""MS-COCO: the pictures of train2014 and val2014 that show at least one of 80 objects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from retbench_datasets.editions.container_source import FromContainer
from retbench_datasets.editions.crossmodal_source import PairedSource
from retbench_datasets.editions.unimodal_splits import Originals, keep_labelled
from retbench_datasets.formats.coco import read_instances
from retbench_datasets.images.image_index import Split
from retbench_datasets.published.mscoco_pairs import MscocoContainer, MscocoPairs
from retbench_datasets.published.published import PublishedSplits

PARTS = ("train2014", "val2014")

# In alphabetical order, as in the published lists (person is their column 49), not in that of the category numbers.
CLASSES = (
    *("airplane", "apple", "backpack", "banana", "baseball bat", "baseball glove", "bear", "bed", "bench", "bicycle"),
    *("bird", "boat", "book", "bottle", "bowl", "broccoli", "bus", "cake", "car", "carrot"),
    *("cat", "cell phone", "chair", "clock", "couch", "cow", "cup", "dining table", "dog", "donut"),
    *(
        "elephant",
        "fire hydrant",
        "fork",
        "frisbee",
        "giraffe",
        "hair drier",
        "handbag",
        "horse",
        "hot dog",
        "keyboard",
    ),
    *("kite", "knife", "laptop", "microwave", "motorcycle", "mouse", "orange", "oven", "parking meter", "person"),
    *("pizza", "potted plant", "refrigerator", "remote", "sandwich", "scissors", "sheep", "sink", "skateboard", "skis"),
    *("snowboard", "spoon", "sports ball", "stop sign", "suitcase", "surfboard", "teddy bear", "tennis racket", "tie"),
    *("toaster", "toilet", "toothbrush", "traffic light", "train", "truck", "tv", "umbrella", "vase", "wine glass"),
    "zebra",
)


class Mscoco(PublishedSplits):
    """122 218 photographs, 80 classes of objects, 2.9 a picture; the 1069 pictures without an object are left out.

    The cross-modal edition keeps those, and has the classes in another order, and captions: see `MscocoPairs`.
    """

    name: ClassVar[str] = "mscoco"
    source: ClassVar[str] = "Lin et al. 2014, Microsoft COCO; lists: Wang et al. 2021, ProS-GAN"
    published_classes: ClassVar[tuple[str, ...]] = CLASSES
    published_sizes: ClassVar[Mapping[Split, int]] = {"train": 10_000, "query": 5000, "database": 117_218}
    crossmodal: ClassVar[PairedSource] = MscocoPairs()
    container: ClassVar[type[FromContainer]] = MscocoContainer

    def steps(self) -> str:
        return (
            "(1) download train2014.zip, val2014.zip and annotations_trainval2014.zip from "
            f"https://cocodataset.org/#download; (2) unpack them to {self.root}/train2014/COCO_train2014_*.jpg, "
            f"{self.root}/val2014/COCO_val2014_*.jpg and {self.root}/annotations/instances_{{train,val}}2014.json; "
            "(3) for the published split, put data/MS-COCO/{train,test}_{img,label}.txt of ProS-GAN's code into "
            f"{self.root} (the database list is rebuilt)"
        )

    def label_files(self) -> tuple[Path, ...]:
        return tuple(self.root / "annotations" / f"instances_{part}.json" for part in PARTS)

    def originals(self) -> Originals:
        """Returns the labelled pictures, train2014 before val2014, each by ascending number.

        The larger file has 0.3 GB, and takes several times that in memory while it is read.
        """
        parts = [read_instances(path, CLASSES) for path in self.label_files()]
        names = [f"{part}/{file}" for part, read in zip(PARTS, parts, strict=True) for file in read.files]
        return keep_labelled(names, np.concatenate([read.labels for read in parts]))
