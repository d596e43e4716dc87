"""MS-COCO: the images that show at least one of 80 objects, or all of them with captions."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import Split, UserError
from retbench_datasets.editions.bert import bert_missing
from retbench_datasets.editions.container_source import ContainerSource
from retbench_datasets.editions.crossmodal_source import CrossmodalSource, ImageTextPairs
from retbench_datasets.editions.text_encoding import ENCODING_REMARK, encode_into, encoder_folder
from retbench_datasets.formats.coco import read_captions, read_instances
from retbench_datasets.formats.label_matrix import LabeledImages, keep_labeled
from retbench_datasets.published.published_dataset import TwoEditionDataset

YEARS = ("2014", "2017")
PARTS = ("train", "val")


class MscocoSource(CrossmodalSource):
    """123 287 photographs, 80 classes by ascending number of COCO's category, captions as BERT's mean, 1024 numbers.

    The 1069 pictures without an object are kept: they have no label, and as queries count as 0. The captions of a
    picture are joined by spaces. The parts of 2014 and of 2017 hold the same pictures under other names, so that the
    splits drawn from them differ; 2014 is taken where both are there.

    RetPur's Table 6 gives 5000 queries, a slip: with its database of 121 287 that is more than there are, and the code
    of TA-DCH takes 2000.

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
        "License: annotations CC BY 4.0; the pictures under Flickr's terms, so that retbench may not ship them."
    )
    remarks: ClassVar[tuple[str, ...]] = (ENCODING_REMARK,)

    def steps(self, root: Path) -> str:
        return (
            "(1) download train2014.zip, val2014.zip and annotations_trainval2014.zip from "
            f"https://cocodataset.org/#download; (2) unpack them to {root}/train2014/COCO_train2014_*.jpg, "
            f"{root}/val2014/COCO_val2014_*.jpg and {root}/annotations/{{instances,captions}}_{{train,val}}2014.json "
            "(those of 2017 do too)"
        )

    def files(self, root: Path) -> tuple[Path, ...]:
        year = _year(root)
        return tuple(_annotations(root, kind, part, year) for kind in ("instances", "captions") for part in PARTS)

    def encoder_missing(self) -> str | None:
        return bert_missing(encoder_folder())

    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        """Returns the training part before the validation part, each by ascending number."""
        year = _year(root)
        parts = [_read_part(root, part, year, self.classes) for part in PARTS]
        said = [text for part in parts for text in part.captions]
        yield f"{root}: {len(said)} pictures with captions of {year}"
        texts = yield from encode_into(draft, said, self.text_width)
        names = tuple(name for part in parts for name in part.names)
        return ImageTextPairs(names, np.concatenate([part.labels for part in parts]), texts)


class MscocoContainerSource(ContainerSource, MscocoSource):
    """The same from `MS-COCO.mat`."""


class _Part(NamedTuple):
    """The pictures of one part: paths, labels uint8 (N, C) and joined captions."""

    names: list[str]
    labels: NDArray[np.uint8]
    captions: list[str]


def _read_part(root: Path, part: str, year: str, classes: Sequence[str]) -> _Part:
    instances, captions = (_annotations(root, kind, part, year) for kind in ("instances", "captions"))
    shown, said = read_instances(instances, classes), read_captions(captions)
    if unsaid := [number for number in shown.numbers if not said.get(number)]:
        raise UserError(
            f"{captions}: it does not fit {instances.name}: got no caption of picture {unsaid[0]} and "
            f"{len(unsaid) - 1} more, expected one or more of all {len(shown.numbers)}"
        )
    return _Part(
        [f"{part}{year}/{file}" for file in shown.files], shown.labels, [" ".join(said[n]) for n in shown.numbers]
    )


def _annotations(root: Path, kind: str, part: str, year: str) -> Path:
    return root / "annotations" / f"{kind}_{part}{year}.json"


def _year(root: Path) -> str:
    """Returns the year whose instances are there: the first of both; the first, too, where none is."""
    there = (year for year in YEARS if any(_annotations(root, "instances", part, year).is_file() for part in PARTS))
    return next(there, YEARS[0])


PARTS_2014 = ("train2014", "val2014")

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


class Mscoco(TwoEditionDataset):
    """122 218 photographs, 80 classes of objects, 2.9 a picture; the 1069 pictures without an object are left out.

    The cross-modal edition keeps those, and has the classes in another order, and captions: see `MscocoSource`.
    """

    name: ClassVar[str] = "mscoco"
    source: ClassVar[str] = "Lin et al. 2014, Microsoft COCO; lists: Wang et al. 2021, ProS-GAN"
    published_classes: ClassVar[tuple[str, ...]] = CLASSES
    published_sizes: ClassVar[Mapping[Split, int]] = {"train": 10_000, "query": 5000, "database": 117_218}
    crossmodal: ClassVar[CrossmodalSource] = MscocoSource()
    container: ClassVar[type[ContainerSource]] = MscocoContainerSource

    def steps(self) -> str:
        return (
            "(1) download train2014.zip, val2014.zip and annotations_trainval2014.zip from "
            f"https://cocodataset.org/#download; (2) unpack them to {self.root}/train2014/COCO_train2014_*.jpg, "
            f"{self.root}/val2014/COCO_val2014_*.jpg and {self.root}/annotations/instances_{{train,val}}2014.json; "
            "(3) for the published split, put data/MS-COCO/{train,test}_{img,label}.txt of ProS-GAN's code into "
            f"{self.root} (the database list is rebuilt)"
        )

    def label_files(self) -> tuple[Path, ...]:
        return tuple(self.root / "annotations" / f"instances_{part}.json" for part in PARTS_2014)

    def labeled_images(self) -> LabeledImages:
        """Returns the labeled pictures, train2014 before val2014, each by ascending number.

        The larger file has 0.3 GB, and takes several times that in memory while it is read.
        """
        parts = [read_instances(path, CLASSES) for path in self.label_files()]
        names = [f"{part}/{file}" for part, read in zip(PARTS_2014, parts, strict=True) for file in read.files]
        return keep_labeled(names, np.concatenate([read.labels for read in parts]))
