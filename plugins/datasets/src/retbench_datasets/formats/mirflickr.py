"""MIRFLICKR's published annotations and tags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retbench import UserError
from retbench_datasets.formats.text_file import read_lines

IMAGES = 25_000


def annotation_paths(root: Path, classes: Sequence[str]) -> tuple[Path, ...]:
    """Return the annotation file of each class."""
    return tuple(root / "mirflickr25k_annotations_v080" / f"{name}.txt" for name in classes)


def read_annotations(paths: Sequence[Path]) -> NDArray[np.uint8]:
    """Return uint8 (25000, C), multi-hot, row i - 1 for image i; each file lists the images of one class.

    Raises:
        UserError: a line is no image number; names it.
    """
    labels = np.zeros((IMAGES, len(paths)), dtype=np.uint8)
    for column, path in enumerate(paths):
        for line, text in enumerate(read_lines(path), start=1):
            if not text.isdecimal() or not 1 <= int(text) <= IMAGES:
                raise UserError(f"{path}:{line}: wrong image number: got {text!r}, expected 1 to {IMAGES}")
            labels[int(text) - 1, column] = 1
    return labels


def image_path(number: int) -> str:
    """Return the path of an image below the dataset's folder."""
    return f"mirflickr/im{number}.jpg"


def vocabulary_path(root: Path) -> Path:
    """Return the file of the common tags: those of at least 20 images."""
    return root / "mirflickr" / "doc" / "common_tags.txt"


def read_vocabulary(path: Path, expected: int) -> dict[str, int]:
    """Return the column of each common tag, in file order; a line holds a tag and its number of images.

    Raises:
        UserError: the file has not `expected` tags, or a tag twice; names the line.
    """
    tags: dict[str, int] = {}
    for line, text in enumerate(read_lines(path), start=1):
        tag = text.split()[0]
        if tag in tags:
            raise UserError(f"{path}:{line}: a tag is listed twice: got {tag!r}")
        tags[tag] = len(tags)
    if len(tags) != expected:
        raise UserError(f"{path}: wrong number of common tags: got {len(tags)}, expected {expected}")
    return tags


def read_tags(root: Path, number: int) -> frozenset[str]:
    """Return the tags of an image, one per line of its file; may be empty.

    Raises:
        UserError: the file does not exist.
    """
    path = root / "mirflickr" / "meta" / "tags" / f"tags{number}.txt"
    try:
        # A tag that is not UTF-8 cannot be a common tag, because the file of common tags is UTF-8.
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: the tags cannot be read: {error.strerror}") from None
    return frozenset(line.strip() for line in text.split("\n")) - {""}
