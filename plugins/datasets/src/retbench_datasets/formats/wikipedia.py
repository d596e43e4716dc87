"""The Wikipedia dataset's lists and text features as they are published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import UserError
from retbench_datasets.formats.matlab_file import read_mat
from retbench_datasets.formats.split import image_id
from retbench_datasets.formats.text_file import read_lines

PARTS = (("test", "T_te"), ("train", "T_tr"))
"""The two parts, the official queries first, each with the name of its matrix of texts."""


class Part(NamedTuple):
    """The rows of one official part, in their published order.

    Attributes:
        names: paths of the images below the dataset's folder.
        labels: uint8 (N, C), one-hot.
        texts: float32 (N, T).
    """

    names: tuple[str, ...]
    labels: NDArray[np.uint8]
    texts: NDArray[np.float32]


def list_path(root: Path, part: str) -> Path:
    """Returns the list of a part: on each line, between tabs, a text's name, a picture's name and a class from 1."""
    return root / f"{part}set_txt_img_cat.list"


def features_path(root: Path) -> Path:
    """Returns the file of the features."""
    return root / "raw_features.mat"


def read_parts(root: Path, classes: Sequence[str], width: int) -> tuple[Part, Part]:
    """Returns the official queries and the official training rows, each in its published order; texts are float32.

    Args:
        root: the dataset's folder.
        classes: names, in the order of their numbers.
        width: length of a text.

    Raises:
        UserError: a list is malformed (names the line), a matrix has not its shape, or a number is not finite.
    """
    matrices = read_mat(features_path(root), [matrix for _, matrix in PARTS])
    parts = []
    for part, matrix in PARTS:
        path, where = list_path(root, part), f"{features_path(root)}: {matrix}"
        rows = [_read_row(line, f"{path}:{at}", classes) for at, line in enumerate(read_lines(path), start=1)]
        _check_shape(matrices[matrix].shape, (len(rows), width), where, path)
        labels = np.eye(len(classes), dtype=np.uint8)[[column for _, column in rows]]
        parts.append(Part(tuple(name for name, _ in rows), labels, _to_float32(matrices[matrix], where)))
    test, train = parts
    return test, train


def _check_shape(shape: tuple[int, ...], expected: tuple[int, int], where: str, listed: Path) -> None:
    if shape != expected:
        turned = ": it is transposed" if shape == expected[::-1] else ""
        raise UserError(
            f"{where}: wrong shape: got {shape}, expected {expected}, a row for each line of {listed.name}{turned}"
        )


def _to_float32(texts: NDArray[Any], where: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        numbers = texts.astype(np.float32)
    if not (finite := np.isfinite(numbers)).all():
        row, column = np.argwhere(~finite)[0]
        raise UserError(f"{where}: row {row}: a text must be finite in float32: got {texts[row, column]}")
    return numbers


def _read_row(text: str, place: str, classes: Sequence[str]) -> tuple[str, int]:
    """Returns a picture's path and the column of its class."""
    values = text.split("\t")
    if len(values) != 3:
        raise UserError(f"{place}: a text, a picture and a class are expected, between tabs: got {text!r}")
    if not values[2].isdecimal() or not 1 <= int(values[2]) <= len(classes):
        raise UserError(f"{place}: a class's number is expected: got {values[2]!r}, expected 1 to {len(classes)}")
    column = int(values[2]) - 1
    return image_id(f"images/{classes[column]}/{values[1]}.jpg", place), column
