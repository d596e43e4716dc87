"""Lists of images and of labels, the published format: `{train,test,database}_{img,label}.txt` in the dataset's folder.

Line i of `*_img.txt` is a path below the folder, line i of `*_label.txt` its labels, one 0 or 1 a class. Training rows
may repeat, as 504 of FLICKR-25K's 5000 do. Source: the data folders of ProS-GAN (Wang et al. 2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retbench import SPLITS, Split, UserError
from retbench_datasets.formats.label_matrix import read_label_matrix
from retbench_datasets.formats.split import Listing, image_id
from retbench_datasets.formats.text_file import read_lines

STEMS: dict[Split, str] = {"train": "train", "query": "test", "database": "database"}


def list_paths(root: Path, split: Split) -> tuple[Path, Path]:
    """Returns the two files of a split: pictures, labels."""
    return root / f"{STEMS[split]}_img.txt", root / f"{STEMS[split]}_label.txt"


def missing_lists(root: Path) -> list[str]:
    """Returns the names of the list files that are not in the folder; all six where there is no folder."""
    return [path.name for split in SPLITS for path in list_paths(root, split) if not path.is_file()]


def read_listing(root: Path, split: Split, columns: int | None = None) -> Listing:
    """Returns one split; `columns` is the number of classes, None takes that of the first line. Raises UserError."""
    images, table = list_paths(root, split)
    names = tuple(image_id(line, f"{images}:{row}") for row, line in enumerate(read_lines(images), start=1))
    labels = read_label_matrix(table, columns)
    if len(names) != len(labels):
        place = f"{table}:{min(len(names), len(labels)) + 1}"
        raise UserError(
            f"{place}: it does not fit {images.name}: got {len(labels)} lines, expected {len(names)}, one a picture"
        )
    return Listing(names, labels, images, range(1, len(names) + 1))


def format_lists(names: Sequence[str], labels: NDArray[np.uint8]) -> tuple[str, str]:
    """Returns what the two files of a split hold: pictures, labels."""
    table = "".join(" ".join(map(str, row)) + "\n" for row in labels.tolist())
    return "".join(f"{name}\n" for name in names), table


def read_classes(path: Path) -> tuple[str, ...]:
    """Returns the class names of a file, one a line; raises UserError for a name that comes twice."""
    names = read_lines(path)
    for line, name in enumerate(names, start=1):
        if name in names[: line - 1]:
            raise UserError(f"{path}:{line}: a class is listed twice: got {name!r}, as on line {names.index(name) + 1}")
    return tuple(names)


def numbered_classes(count: int) -> tuple[str, ...]:
    """Returns `class-0`, `class-1`, ...: names for label columns that nobody named."""
    return tuple(f"class-{column}" for column in range(count))


def complete_splits(root: Path) -> Iterator[Split]:
    """Yields the splits whose two files are there; raises UserError for a split with one of them."""
    for split in SPLITS:
        there = [path for path in list_paths(root, split) if path.is_file()]
        if len(there) == 1:
            (lost,) = {*list_paths(root, split)} - {*there}
            raise UserError(f"{lost}: no such file, but {there[0].name} is there: expected both, or neither")
        if there:
            yield split
