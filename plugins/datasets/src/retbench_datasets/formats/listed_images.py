"""The images of one split with their labels, and the file and line that list each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import UserError


class ListedImages(NamedTuple):
    """The images of one split, in row order.

    Attributes:
        names: paths below the dataset's folder, with slashes; they are the image ids.
        labels: uint8 (N, C), multi-hot.
        source: the file, or the folder, that lists them.
        lines: line of each row in that file, from 1; None for a folder.
    """

    names: tuple[str, ...]
    labels: NDArray[np.uint8]
    source: Path
    lines: Sequence[int] | None

    def locate(self, row: int) -> str:
        """Return the location of a row, as `file:line`, or the folder."""
        return str(self.source) if self.lines is None else f"{self.source}:{self.lines[row]}"


def image_id(path: str, location: str) -> str:
    """Return a listed path as an id: relative, with slashes, without `.`; `location` is the line that lists it.

    Raises:
        UserError: the path is absolute or leaves the folder, so that the list would work on one machine only.
    """
    name = PurePosixPath(path.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise UserError(f"{location}: wrong image path: got {path!r}, expected a path inside the dataset's folder")
    return str(name)
