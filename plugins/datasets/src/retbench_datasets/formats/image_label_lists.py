"""The published list format: `{train,test,database}_{img,label}.txt` in the dataset's folder.

Line i of `*_img.txt` is a path below the folder, line i of `*_label.txt` its labels, one 0 or 1 a class. Training rows
may repeat, as 504 of FLICKR-25K's 5000 do. Source: the data folders of ProS-GAN (Wang et al. 2021).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retbench import UserError
from retbench_datasets.formats.label_matrix import read_label_table
from retbench_datasets.images.image_index import SPLITS, Index, Listing, Split, Stamp, picture_name, read_lines, stamp

STEMS: dict[Split, str] = {"train": "train", "query": "test", "database": "database"}


def list_paths(root: Path, split: Split) -> tuple[Path, Path]:
    """Returns the two files of a split: pictures, labels."""
    return root / f"{STEMS[split]}_img.txt", root / f"{STEMS[split]}_label.txt"


def absent_lists(root: Path) -> list[str]:
    """Returns the names of the list files that are not in the folder; all six where there is no folder."""
    return [path.name for split in SPLITS for path in list_paths(root, split) if not path.is_file()]


def read_index(root: Path, classes: tuple[str, ...] | None = None, folder: Path | None = None) -> Index:
    """Returns the three splits of a folder, remembered while none of its list files changes.

    Args:
        root: the folder that the listed paths are below.
        classes: names of the label columns; None takes those of `classes.txt`, or numbers them.
        folder: the folder of the lists; None for `root`.

    Raises:
        UserError: a list is missing or malformed, or two of them do not fit; names file and line.
    """
    listed = folder or root
    files = [path for split in SPLITS for path in list_paths(listed, split)]
    return _read_index(root, listed, classes, tuple(map(stamp, [*files, listed / "classes.txt"])))


def read_listing(root: Path, split: Split, columns: int | None = None) -> Listing:
    """Returns one split; `columns` is the number of classes, None takes that of the first line. Raises UserError."""
    images, table = list_paths(root, split)
    names = tuple(picture_name(line, f"{images}:{row}") for row, line in enumerate(read_lines(images), start=1))
    labels = read_label_table(table, columns)
    if len(names) != len(labels):
        place = f"{table}:{min(len(names), len(labels)) + 1}"
        raise UserError(
            f"{place}: it does not fit {images.name}: got {len(labels)} lines, expected {len(names)}, one a picture"
        )
    return Listing(names, labels, images, range(1, len(names) + 1))


def listing_texts(names: Sequence[str], labels: NDArray[np.uint8]) -> tuple[str, str]:
    """Returns what the two files of a split hold: pictures, labels."""
    table = "".join(" ".join(map(str, row)) + "\n" for row in labels.tolist())
    return "".join(f"{name}\n" for name in names), table


def write_text(path: Path, text: str) -> None:
    """Writes a file so that nobody ever sees half of it: beside it, then by a rename; raises UserError if it cannot."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        raise UserError(f"{path}: it cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


@lru_cache(maxsize=8)
def _read_index(root: Path, folder: Path, classes: tuple[str, ...] | None, stamps: tuple[Stamp, ...]) -> Index:
    listed = _read_classes(folder) if classes is None else classes
    columns = len(listed) if listed else None
    splits: dict[Split, Listing] = {}
    for split in SPLITS:
        splits[split] = read_listing(folder, split, columns)
        columns = splits[split].labels.shape[1]
    return Index(root, listed or numbered(columns or 0), splits)


def _read_classes(folder: Path) -> tuple[str, ...] | None:
    path = folder / "classes.txt"
    return unique_classes(path) if path.is_file() else None


def unique_classes(path: Path) -> tuple[str, ...]:
    """Returns the class names of a file, one a line; raises UserError for a name that comes twice."""
    names = read_lines(path)
    for line, name in enumerate(names, start=1):
        if name in names[: line - 1]:
            raise UserError(f"{path}:{line}: a class is listed twice: got {name!r}, as on line {names.index(name) + 1}")
    return tuple(names)


def numbered(count: int) -> tuple[str, ...]:
    """Returns `class-0`, `class-1`, ...: names for label columns that nobody named."""
    return tuple(f"class-{column}" for column in range(count))


def listed_splits(root: Path) -> Iterator[Split]:
    """Yields the splits whose two files are there; raises UserError for a split with one of them."""
    for split in SPLITS:
        there = [path for path in list_paths(root, split) if path.is_file()]
        if len(there) == 1:
            (lost,) = {*list_paths(root, split)} - {*there}
            raise UserError(f"{lost}: no such file, but {there[0].name} is there: expected both, or neither")
        if there:
            yield split
