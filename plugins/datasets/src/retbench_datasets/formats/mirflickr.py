"""MIRFLICKR's annotations and tags as it publishes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retbench import UserError
from retbench_datasets.formats.text_file import read_lines

PICTURES = 25_000


def annotation_paths(root: Path, classes: Sequence[str]) -> tuple[Path, ...]:
    """Returns the annotation file of each class."""
    return tuple(root / "mirflickr25k_annotations_v080" / f"{name}.txt" for name in classes)


def read_annotations(paths: Sequence[Path]) -> NDArray[np.uint8]:
    """Returns uint8 (25000, C), multi-hot, row i - 1 for picture i; a file lists the pictures of its class.

    Raises:
        UserError: a line is not the number of a picture; names it.
    """
    labels = np.zeros((PICTURES, len(paths)), dtype=np.uint8)
    for column, path in enumerate(paths):
        for line, text in enumerate(read_lines(path), start=1):
            if not text.isdecimal() or not 1 <= int(text) <= PICTURES:
                raise UserError(
                    f"{path}:{line}: a picture's number is expected: got {text!r}, expected 1 to {PICTURES}"
                )
            labels[int(text) - 1, column] = 1
    return labels


def image_path(number: int) -> str:
    """Returns a picture's path below the dataset's folder."""
    return f"mirflickr/im{number}.jpg"


def vocabulary_path(root: Path) -> Path:
    """Returns the file of the tags that 20 pictures or more have."""
    return root / "mirflickr" / "doc" / "common_tags.txt"


def read_vocabulary(path: Path, expected: int) -> dict[str, int]:
    """Returns the column of each common tag, in the order of the file, whose lines hold a tag and how often it occurs.

    Raises:
        UserError: it has not `expected` tags, or one twice; names the line.
    """
    tags: dict[str, int] = {}
    for line, text in enumerate(read_lines(path), start=1):
        tag = text.split()[0]
        if tag in tags:
            raise UserError(f"{path}:{line}: a tag comes twice: got {tag!r}")
        tags[tag] = len(tags)
    if len(tags) != expected:
        raise UserError(f"{path}: these are not the common tags: got {len(tags)}, expected {expected}")
    return tags


def read_tags(root: Path, number: int) -> frozenset[str]:
    """Returns the tags of a picture, one a line in its file; a picture may have none.

    Raises:
        UserError: there is no such file.
    """
    path = root / "mirflickr" / "meta" / "tags" / f"tags{number}.txt"
    try:
        # What is not UTF-8 cannot be a common tag: that file is.
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: the tags cannot be read: {error.strerror}") from None
    return frozenset(line.strip() for line in text.split("\n")) - {""}
