"""Lists of images and of labels, the published format: `{train,test,database}_{img,label}.txt` in the dataset's folder.

Line i of `*_img.txt` is a path below the folder, line i of `*_label.txt` holds its labels, one 0 or 1 per class.
Training rows may repeat, as 504 of FLICKR-25K's 5000 do. Source: the data folders of ProS-GAN (Wang et al. 2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retbench import SPLITS, Split, UserError
from retbench_datasets.formats.label_matrix import read_label_matrix
from retbench_datasets.formats.listed_images import ListedImages, image_id
from retbench_datasets.formats.text_file import read_lines

STEMS: dict[Split, str] = {"train": "train", "query": "test", "database": "database"}
"""File name stem of each split."""


def list_paths(root: Path, split: Split) -> tuple[Path, Path]:
    """Return the two files of a split: images, labels."""
    return root / f"{STEMS[split]}_img.txt", root / f"{STEMS[split]}_label.txt"


def missing_lists(root: Path) -> list[str]:
    """Return the names of the list files that are not in the folder; all six if the folder does not exist."""
    return [path.name for split in SPLITS for path in list_paths(root, split) if not path.is_file()]


def read_split(root: Path, split: Split, columns: int | None = None) -> ListedImages:
    """Read the two lists of a split.

    Args:
        root: the folder of the lists.
        split: the split to read.
        columns: number of classes; None takes that of the first line.

    Raises:
        UserError: a list is missing or malformed, or the two have different numbers of lines; names file and line.
    """
    images, table = list_paths(root, split)
    names = tuple(image_id(text, f"{images}:{line}") for line, text in enumerate(read_lines(images), start=1))
    labels = read_label_matrix(table, columns)
    if len(names) != len(labels):
        location = f"{table}:{min(len(names), len(labels)) + 1}"
        raise UserError(
            f"{location}: it does not fit {images.name}: got {len(labels)} lines, expected {len(names)}, one per image"
        )
    return ListedImages(names, labels, images, range(1, len(names) + 1))


def format_lists(names: Sequence[str], labels: NDArray[np.uint8]) -> tuple[str, str]:
    """Return the contents of the two files of a split: images, labels."""
    table = "".join(" ".join(map(str, row)) + "\n" for row in labels.tolist())
    return "".join(f"{name}\n" for name in names), table


def read_classes(path: Path) -> tuple[str, ...]:
    """Return the class names in a file, one per line; raises UserError if a name is listed twice."""
    names = read_lines(path)
    for line, name in enumerate(names, start=1):
        if name in names[: line - 1]:
            raise UserError(f"{path}:{line}: a class is listed twice: got {name!r}, as on line {names.index(name) + 1}")
    return tuple(names)


def numbered_classes(count: int) -> tuple[str, ...]:
    """Return `class-0`, `class-1`, ...: names for label columns without names."""
    return tuple(f"class-{column}" for column in range(count))


def complete_splits(root: Path) -> Iterator[Split]:
    """Yield the splits whose two files exist; raises UserError for a split with only one of them."""
    for split in SPLITS:
        existing = [path for path in list_paths(root, split) if path.is_file()]
        if len(existing) == 1:
            (missing,) = {*list_paths(root, split)} - {*existing}
            raise UserError(f"{missing}: no such file, but {existing[0].name} exists: expected both files, or neither")
        if existing:
            yield split
