"""Reads NumPy's own files of one array, in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retbench import UserError
from retbench_datasets.array_file import ArrayFile, cut

ONLY = "array"
"""The name of the one array of such a file."""


class NpyFile(ArrayFile):
    """A `.npy` file, mapped into memory and never unpickled; its one array is called `array`.

    Raises:
        UserError: it cannot be read, or holds no numbers.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, {})
        try:
            self._mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            self.refuse(error)
        if self._mapped.dtype.kind not in "biuf":
            raise UserError(f"{path}: it holds no numbers: got {self._mapped.dtype}, expected integers or floats")
        self.shapes[ONLY] = self._mapped.shape

    def read(self, name: str = ONLY, axis: int = 0, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        self.require(name)
        return np.asarray(self._mapped[cut(self._mapped.ndim, axis, start, stop)])

    def item_bytes(self, name: str) -> int:
        return int(self._mapped.dtype.itemsize)
