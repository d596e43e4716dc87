"""The Wikipedia data set's lists and text features as they are published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retbench import UserError
from retbench_datasets.listings import picture_name, read_lines
from retbench_datasets.mat_file import read_mat
from retbench_datasets.pairs import Pairs

PARTS = (("test", "T_te"), ("train", "T_tr"))
"""The two parts, the official queries first, each with the name of its matrix of texts."""


def list_path(root: Path, part: str) -> Path:
    """Returns the list of a part: on each line, between tabs, a text's name, a picture's name and a class from 1."""
    return root / f"{part}set_txt_img_cat.list"


def features_path(root: Path) -> Path:
    """Returns the file of the features."""
    return root / "raw_features.mat"


def read_parts(root: Path, classes: Sequence[str]) -> tuple[Pairs, Pairs]:
    """Returns the official queries and the official training rows, each in its published order; texts are float32.

    Raises:
        UserError: a list is malformed, or its rows and those of its matrix do not pair; names the line.
    """
    matrices = read_mat(features_path(root), [matrix for _, matrix in PARTS])
    test, train = (_read_part(root, part, matrix, matrices[matrix], classes) for part, matrix in PARTS)
    return test, train


def _read_part(root: Path, part: str, matrix: str, texts: NDArray[np.float64], classes: Sequence[str]) -> Pairs:
    path = list_path(root, part)
    rows = [_read_row(line, f"{path}:{at}", classes) for at, line in enumerate(read_lines(path), start=1)]
    if len(rows) != len(texts):
        raise UserError(
            f"{path}: it does not fit {features_path(root).name}: got {len(rows)} lines, expected {len(texts)}, the "
            f"rows of {matrix}"
        )
    labels = np.eye(len(classes), dtype=np.uint8)[[column for _, column in rows]]
    return Pairs(tuple(name for name, _ in rows), labels, texts.astype(np.float32))


def _read_row(text: str, place: str, classes: Sequence[str]) -> tuple[str, int]:
    """Returns a picture's path and the column of its class."""
    values = text.split("\t")
    if len(values) != 3:
        raise UserError(f"{place}: a text, a picture and a class are expected, between tabs: got {text!r}")
    if not values[2].isdecimal() or not 1 <= int(values[2]) <= len(classes):
        raise UserError(f"{place}: a class's number is expected: got {values[2]!r}, expected 1 to {len(classes)}")
    column = int(values[2]) - 1
    return picture_name(f"images/{classes[column]}/{values[1]}.jpg", place), column
