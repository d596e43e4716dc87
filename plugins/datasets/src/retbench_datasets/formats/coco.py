"""COCO's annotations as it publishes them: the objects in an image, and the captions that five people wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from retbench import UserError

Read = TypeVar("Read")


class Instances(NamedTuple):
    """The pictures of one part, by ascending number.

    Attributes:
        numbers: COCO's number of each.
        files: the name of each picture's file.
        labels: uint8 (N, C), multi-hot; zero for a picture without an object.
    """

    numbers: list[int]
    files: list[str]
    labels: NDArray[np.uint8]


def read_instances(path: Path, classes: Sequence[str]) -> Instances:
    """Returns the pictures of a part and the objects in them; `classes`, 80 names, give the order of the columns.

    The larger file has 0.3 GB, and takes several times that in memory while it is read.

    Raises:
        UserError: it is not JSON, not COCO's, or has other categories.
    """
    return _read_json(path, "instances", lambda facts: _instances(path, facts, classes))


def read_captions(path: Path) -> dict[int, list[str]]:
    """Returns the captions of each picture by its number, without spaces around them, by ascending number of caption.

    A picture that nobody described has an empty list; a caption may be empty.

    Raises:
        UserError: it is not JSON or not COCO's.
    """
    return _read_json(path, "captions", _captions)


def _instances(path: Path, facts: Any, classes: Sequence[str]) -> Instances:
    columns = {category["id"]: category["name"] for category in facts["categories"]}
    if unknown := {*columns.values()} ^ {*classes}:
        raise UserError(f"{path}: these are not COCO's 80 categories: {min(unknown)!r} is on one side only")
    pictures = sorted(facts["images"], key=lambda picture: picture["id"])
    row_of = {picture["id"]: row for row, picture in enumerate(pictures)}
    labels = np.zeros((len(pictures), len(classes)), dtype=np.uint8)
    column_of = {name: column for column, name in enumerate(classes)}
    for shape in facts["annotations"]:
        labels[row_of[shape["image_id"]], column_of[columns[shape["category_id"]]]] = 1
    return Instances([*row_of], [picture["file_name"] for picture in pictures], labels)


def _captions(facts: Any) -> dict[int, list[str]]:
    captions: dict[int, list[str]] = {picture["id"]: [] for picture in facts["images"]}
    for caption in sorted(facts["annotations"], key=lambda caption: caption["id"]):
        captions[caption["image_id"]].append(caption["caption"].strip())
    return captions


def _read_json(path: Path, named: str, read: Callable[[Any], Read]) -> Read:
    try:
        return read(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{path}: it cannot be read: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: it is not JSON: {error}; is the download complete?") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: these are not COCO's {named}: {type(error).__name__}: {error}") from None
