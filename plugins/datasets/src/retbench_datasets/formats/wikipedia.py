"""The published lists and text features of the Wikipedia dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import UserError
from retbench_datasets.formats.listed_images import image_id
from retbench_datasets.formats.matlab_file import read_mat
from retbench_datasets.formats.text_file import read_lines

TEXT_MATRICES = {"test": "T_te", "train": "T_tr"}
"""Name of the text matrix of each official split; the test rows are the queries."""


class OfficialSplit(NamedTuple):
    """The rows of one official split, in their published order.

    Attributes:
        names: image paths below the dataset's folder.
        labels: uint8 (N, C), one-hot.
        texts: float32 (N, T).
    """

    names: tuple[str, ...]
    labels: NDArray[np.uint8]
    texts: NDArray[np.float32]


def list_path(root: Path, split: str) -> Path:
    """Return the list of `test` or `train`: per line the name of a text, of an image, and a class from 1, by tabs."""
    return root / f"{split}set_txt_img_cat.list"


def features_path(root: Path) -> Path:
    """Return the file of the features."""
    return root / "raw_features.mat"


def read_official_splits(root: Path, classes: Sequence[str], width: int) -> dict[str, OfficialSplit]:
    """Return the official splits `test` and `train`, each in its published order.

    Args:
        root: the dataset's folder.
        classes: names, in the order of their numbers.
        width: length of a text vector.

    Raises:
        UserError: a list is malformed (names the line), a matrix has a wrong shape, or a number is not finite.
    """
    matrices = read_mat(features_path(root), [*TEXT_MATRICES.values()])
    splits = {}
    for split, matrix in TEXT_MATRICES.items():
        path, location = list_path(root, split), f"{features_path(root)}: {matrix}"
        rows = [_parse_line(text, f"{path}:{line}", classes) for line, text in enumerate(read_lines(path), start=1)]
        _check_shape(matrices[matrix].shape, (len(rows), width), location, path)
        labels = np.eye(len(classes), dtype=np.uint8)[[column for _, column in rows]]
        names = tuple(name for name, _ in rows)
        splits[split] = OfficialSplit(names, labels, _to_float32(matrices[matrix], location))
    return splits


def _check_shape(shape: tuple[int, ...], expected: tuple[int, int], location: str, rows_list: Path) -> None:
    if shape != expected:
        hint = "; it is transposed" if shape == expected[::-1] else ""
        raise UserError(
            f"{location}: wrong shape: got {shape}, expected {expected}, one row per line of {rows_list.name}{hint}"
        )


def _to_float32(texts: NDArray[Any], location: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, and is refused below
        numbers = texts.astype(np.float32)
    if not (finite := np.isfinite(numbers)).all():
        row, column = np.argwhere(~finite)[0]
        raise UserError(f"{location}: row {row}: a text must be finite in float32: got {texts[row, column]}")
    return numbers


def _parse_line(text: str, location: str, classes: Sequence[str]) -> tuple[str, int]:
    """Return the path of an image and the column of its class."""
    values = text.split("\t")
    if len(values) != 3:
        raise UserError(f"{location}: wrong line: got {text!r}, expected text, image and class, separated by tabs")
    if not values[2].isdecimal() or not 1 <= int(values[2]) <= len(classes):
        raise UserError(f"{location}: wrong class number: got {values[2]!r}, expected 1 to {len(classes)}")
    column = int(values[2]) - 1
    return image_id(f"images/{classes[column]}/{values[1]}.jpg", location), column
