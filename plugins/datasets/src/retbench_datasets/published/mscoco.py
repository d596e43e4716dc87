"""MS-COCO: the images with at least one object of 80 classes, or all images with captions."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import Split, UserError
from retbench_datasets.editions.container_source import ContainerSource
from retbench_datasets.editions.crossmodal_source import CrossmodalSource, ImageTextPairs
from retbench_datasets.editions.text_encoding import ENCODING_REMARK, encode_into
from retbench_datasets.formats.coco import read_captions, read_instances
from retbench_datasets.formats.label_matrix import LabeledImages, keep_labeled
from retbench_datasets.published.published_dataset import TwoEditionDataset

YEARS = ("2014", "2017")
COCO_SPLITS = ("train", "val")


class MscocoSource(CrossmodalSource):
    """123 287 photographs, 80 classes by COCO's category numbers, and captions as mean BERT features of 1024 numbers.

    The 1069 images without an object are kept: they have no label, and as queries have an average precision of 0. The
    captions of an image are joined by spaces. The releases of 2014 and 2017 have the same images under other names, so
    that the splits drawn from them differ; 2014 is used if both are available.

    RetPur's Table 6 states 5000 queries, which must be a mistake: with its database of 121 287 images that is more than
    there are, and the code of TA-DCH uses 2000.

    Source: Lin et al. 2014, Microsoft COCO; sizes: RetPur, Table 6, and the code of TA-DCH.
    """

    name: ClassVar[str] = "mscoco"
    classes: ClassVar[tuple[str, ...]] = (
        *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
        *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
        *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
        *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
        *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
        *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
        *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard"),
        *("cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors"),
        *("teddy bear", "hair drier", "toothbrush"),
    )
    sizes: ClassVar[Mapping[Split, int]] = {"train": 10_000, "query": 2000, "database": 121_287}
    text_width: ClassVar[int] = 1024
    license: ClassVar[str] = (
        "License: annotations CC BY 4.0; the images are under Flickr's terms of use; retbench may not ship them."
    )
    remarks: ClassVar[tuple[str, ...]] = (ENCODING_REMARK,)
    needs_bert: ClassVar[bool] = True

    def download_steps(self, root: Path) -> tuple[str, ...]:
        return (
            "download train2014.zip, val2014.zip and annotations_trainval2014.zip from "
            "https://cocodataset.org/#download (or those of 2017)",
            f"unpack them so that these files exist: {root}/train2014/COCO_train2014_*.jpg, "
            f"{root}/val2014/COCO_val2014_*.jpg and {root}/annotations/{{instances,captions}}_{{train,val}}2014.json",
        )

    def required_files(self, root: Path) -> tuple[Path, ...]:
        year = _find_year(root)
        return tuple(
            _annotations_path(root, kind, split, year) for kind in ("instances", "captions") for split in COCO_SPLITS
        )

    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        """Yield progress lines and return the pairs: COCO's train, then val, each by ascending image number."""
        year = _find_year(root)
        splits = [_read_coco_split(root, split, year, self.classes) for split in COCO_SPLITS]
        captions = [text for split in splits for text in split.captions]
        yield f"{root}: {len(captions)} images with captions of {year}"
        texts = yield from encode_into(draft, captions, self.text_width)
        names = tuple(name for split in splits for name in split.names)
        return ImageTextPairs(names, np.concatenate([split.labels for split in splits]), texts)


class MscocoContainerSource(ContainerSource, MscocoSource):
    """The same data from `MS-COCO.mat`."""


class _CocoSplit(NamedTuple):
    """The images of COCO's train or val: paths, labels uint8 (N, C) and joined captions."""

    names: list[str]
    labels: NDArray[np.uint8]
    captions: list[str]


def _read_coco_split(root: Path, split: str, year: str, classes: Sequence[str]) -> _CocoSplit:
    instances_path, captions_path = (_annotations_path(root, kind, split, year) for kind in ("instances", "captions"))
    instances, captions = read_instances(instances_path, classes), read_captions(captions_path)
    if missing := [number for number in instances.numbers if not captions.get(number)]:
        raise UserError(
            f"{captions_path}: it does not fit {instances_path.name}: got no caption for image {missing[0]} and "
            f"{len(missing) - 1} more, expected captions for all {len(instances.numbers)} images"
        )
    return _CocoSplit(
        [f"{split}{year}/{file}" for file in instances.files],
        instances.labels,
        [" ".join(captions[number]) for number in instances.numbers],
    )


def _annotations_path(root: Path, kind: str, split: str, year: str) -> Path:
    return root / "annotations" / f"{kind}_{split}{year}.json"


def _find_year(root: Path) -> str:
    """Return the first year with instances in the folder; 2014 if there are none."""
    for year in YEARS:
        if any(_annotations_path(root, "instances", split, year).is_file() for split in COCO_SPLITS):
            return year
    return YEARS[0]


COCO_SPLITS_2014 = ("train2014", "val2014")

# In alphabetical order, as in the published lists (person is their column 49), not in order of the category numbers.
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


class Mscoco(TwoEditionDataset):
    """122 218 photographs, 80 classes of objects, 2.9 per image; the 1069 images without an object are left out.

    The cross-modal edition keeps those, has the classes in another order, and captions: see `MscocoSource`.
    """

    name: ClassVar[str] = "mscoco"
    source: ClassVar[str] = "Lin et al. 2014, Microsoft COCO; lists: Wang et al. 2021, ProS-GAN"
    published_classes: ClassVar[tuple[str, ...]] = CLASSES
    published_sizes: ClassVar[Mapping[Split, int]] = {"train": 10_000, "query": 5000, "database": 117_218}
    crossmodal_download: ClassVar[CrossmodalSource] = MscocoSource()
    crossmodal_container: ClassVar[type[ContainerSource]] = MscocoContainerSource

    def download_steps(self) -> tuple[str, ...]:
        return (
            "download train2014.zip, val2014.zip and annotations_trainval2014.zip from "
            "https://cocodataset.org/#download",
            f"unpack them so that these files exist: {self.root}/train2014/COCO_train2014_*.jpg, "
            f"{self.root}/val2014/COCO_val2014_*.jpg and {self.root}/annotations/instances_{{train,val}}2014.json",
            "for the published splits, put data/MS-COCO/{train,test}_{img,label}.txt of ProS-GAN's code into "
            f"{self.root} (the database list is rebuilt)",
        )

    def label_files(self) -> tuple[Path, ...]:
        return tuple(self.root / "annotations" / f"instances_{split}.json" for split in COCO_SPLITS_2014)

    def labeled_images(self) -> LabeledImages:
        """Return the labeled images, train2014 before val2014, each by ascending image number.

        The larger file has 0.3 GB, and takes several times that in memory while it is read.
        """
        instances = [read_instances(path, CLASSES) for path in self.label_files()]
        names = [
            f"{split}/{file}" for split, each in zip(COCO_SPLITS_2014, instances, strict=True) for file in each.files
        ]
        return keep_labeled(names, np.concatenate([each.labels for each in instances]))
