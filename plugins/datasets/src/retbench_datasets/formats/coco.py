"""COCO's published annotations: the objects in an image, and the captions that five people wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from retbench import UserError

Parsed = TypeVar("Parsed")


class Instances(NamedTuple):
    """The images of one COCO split with their objects, by ascending image number.

    Attributes:
        numbers: COCO's image numbers.
        files: file name of each image.
        labels: uint8 (N, C), multi-hot; zero for an image without an object.
    """

    numbers: list[int]
    files: list[str]
    labels: NDArray[np.uint8]


def read_instances(path: Path, classes: Sequence[str]) -> Instances:
    """Read the objects of a COCO split; `classes`, 80 names, give the order of the label columns.

    The larger file has 0.3 GB, and takes several times that in memory while it is read.

    Raises:
        UserError: the file is not JSON, not COCO's, or has other categories.
    """
    return _read_json(path, "instances", lambda content: _parse_instances(path, content, classes))


def read_captions(path: Path) -> dict[int, list[str]]:
    """Return the captions of each image by its number, stripped of spaces, in the order of the caption numbers.

    An image without captions has an empty list; a caption may be empty.

    Raises:
        UserError: the file is not JSON or not COCO's.
    """
    return _read_json(path, "captions", _parse_captions)


def _parse_instances(path: Path, content: Any, classes: Sequence[str]) -> Instances:
    categories = {category["id"]: category["name"] for category in content["categories"]}
    if unknown := {*categories.values()} ^ {*classes}:
        raise UserError(f"{path}: these are not COCO's 80 categories: {min(unknown)!r} is missing or unexpected")
    images = sorted(content["images"], key=lambda image: image["id"])
    row_of = {image["id"]: row for row, image in enumerate(images)}
    labels = np.zeros((len(images), len(classes)), dtype=np.uint8)
    column_of = {name: column for column, name in enumerate(classes)}
    for instance in content["annotations"]:
        labels[row_of[instance["image_id"]], column_of[categories[instance["category_id"]]]] = 1
    return Instances([*row_of], [image["file_name"] for image in images], labels)


def _parse_captions(content: Any) -> dict[int, list[str]]:
    captions: dict[int, list[str]] = {image["id"]: [] for image in content["images"]}
    for caption in sorted(content["annotations"], key=lambda caption: caption["id"]):
        captions[caption["image_id"]].append(caption["caption"].strip())
    return captions


def _read_json(path: Path, kind: str, parse: Callable[[Any], Parsed]) -> Parsed:
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{path}: it cannot be read: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: it is not JSON: {error}; is the download complete?") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: these are not COCO's {kind}: {type(error).__name__}: {error}") from None
