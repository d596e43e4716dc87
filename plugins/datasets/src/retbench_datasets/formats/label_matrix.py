"""Label matrices, multi-hot: text files with one row per image and one 0 or 1 per class, separated by spaces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from retbench import UserError
from retbench_datasets.formats.text_file import read_lines


class LabeledImages(NamedTuple):
    """Images and their labels, as in the files of an original download.

    Attributes:
        names: paths below the dataset's folder.
        labels: uint8 (N, C), multi-hot, in the published order of the classes.
    """

    names: tuple[str, ...]
    labels: NDArray[np.uint8]


def keep_labeled(names: Sequence[str], labels: NDArray[np.uint8]) -> LabeledImages:
    """Return the images that have a label, in the given order."""
    rows = np.flatnonzero(labels.any(axis=1))
    return LabeledImages(tuple(names[row] for row in rows.tolist()), labels[rows])


def read_label_matrix(path: Path, columns: int | None = None) -> NDArray[np.uint8]:
    """Return uint8 (N, C), multi-hot; spaces at line ends and empty lines at the end of the file are ignored.

    Args:
        path: the file.
        columns: C; None takes that of the first line.

    Raises:
        UserError: the file does not exist or has no line, a line before the last is empty, a value is not 0 or 1, or
            a line has another number of values; names the line.
    """
    lines = read_lines(path)
    expected = len(lines[0].split()) if columns is None else columns
    try:
        table = np.loadtxt(lines, dtype=np.uint8, ndmin=2, comments=None)
    except ValueError:
        _raise_first_error(path, lines, expected)
    if table.shape[1] != expected or table.max() > 1:
        _raise_first_error(path, lines, expected)
    return table


def _raise_first_error(path: Path, lines: Sequence[str], expected: int) -> NoReturn:
    """Raise UserError for the first wrong line; slow, therefore called only for a file that has one."""
    for line, text in enumerate(lines, start=1):
        values = text.split()
        if wrong := [value for value in values if value not in ("0", "1")]:
            raise UserError(f"{path}:{line}: a label must be 0 or 1: got {wrong[0]!r}, expected values between spaces")
        if len(values) != expected:
            raise UserError(f"{path}:{line}: wrong number of labels: got {len(values)}, expected {expected}")
    raise UserError(f"{path}: it cannot be read as a table of 0 and 1")
