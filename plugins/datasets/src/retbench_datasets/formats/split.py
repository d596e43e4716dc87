"""A split: which images it lists, what they show, and where that is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import UserError


class Listing(NamedTuple):
    """The rows of one split, in order.

    Attributes:
        names: paths of the pictures below the dataset's folder, with slashes; they are the ids.
        labels: uint8 (N, C), multi-hot.
        source: the file, or the folder, that lists them.
        lines: line of each row in that file, from 1; None for a folder.
    """

    names: tuple[str, ...]
    labels: NDArray[np.uint8]
    source: Path
    lines: Sequence[int] | None

    def place(self, row: int) -> str:
        """Returns where a row is written, as `file:line`, or the folder."""
        return str(self.source) if self.lines is None else f"{self.source}:{self.lines[row]}"


def image_id(path: str, place: str) -> str:
    """Returns a listed path as an id: relative, with slashes and no `.`; `place` is where it is listed.

    Raises:
        UserError: it is absolute, or leads out of the folder: then the list would hold on one machine only.
    """
    name = PurePosixPath(path.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise UserError(f"{place}: a picture's path must stay in the dataset's folder: got {path!r}")
    return str(name)
