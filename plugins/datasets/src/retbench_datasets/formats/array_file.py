"""A file of named arrays in any format: their shapes, and blocks of them along one axis."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from retbench import UserError

BLOCK_BYTES = 2**29
"""Approximate size of a block: NUS-WIDE's images take 55 blocks of half a gibibyte."""


def slice_axis(dimensions: int, axis: int, start: int, stop: int | None) -> tuple[slice, ...]:
    """Return the index that cuts an array to `start:stop` along one axis and keeps the other axes whole."""
    return tuple(slice(start, stop) if each == axis else slice(None) for each in range(dimensions))


class ArrayBlock(NamedTuple):
    """Consecutive items of an array.

    Attributes:
        start: index of the first item along the axis.
        items: the array, cut along that axis only.
    """

    start: int
    items: NDArray[Any]


class ArrayFile(ABC):
    """An open file of named numeric arrays.

    Attributes:
        path: the file.
        shapes: shape of each numeric array, by name.
    """

    def __init__(self, path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
        self.path = path
        self.shapes = shapes

    @abstractmethod
    def read(self, name: str, axis: int = 0, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return an array cut to `start:stop` along an axis; whole by default.

        Raises:
            UserError: there is no such array, or its bytes are broken.
        """

    @abstractmethod
    def element_bytes(self, name: str) -> int:
        """Return the size of one number of an array in bytes, or an upper bound."""

    def chunk_length(self, name: str, axis: int) -> int:
        """Return the number of items along an axis that the file stores together; reading fewer takes as long."""
        return 1

    def block_ranges(self, name: str, axis: int, limit: int = BLOCK_BYTES) -> Iterator[range]:
        """Yield the ranges of items of each block: about `limit` bytes, at least one item.

        If a chunk fits the limit, a range holds a whole number of chunks, so that no chunk is decompressed twice.
        """
        self.require(name)
        shape = self.shapes[name]
        item_bytes = self.element_bytes(name) * int(np.prod(shape, dtype=np.int64)) // max(shape[axis], 1)
        length = max(1, limit // max(item_bytes, 1))
        chunk = self.chunk_length(name, axis)
        if length > chunk:
            length -= length % chunk
        for start in range(0, shape[axis], length):
            yield range(start, min(start + length, shape[axis]))

    def read_blocks(self, name: str, axis: int, limit: int = BLOCK_BYTES) -> Iterator[ArrayBlock]:
        """Yield an array in blocks of about `limit` bytes along an axis; raises UserError as `read`."""
        for rows in self.block_ranges(name, axis, limit):
            yield ArrayBlock(rows.start, self.read(name, axis, rows.start, rows.stop))

    def require(self, name: str) -> None:
        """Raise UserError, listing the arrays of the file, if it has no array of that name."""
        if name not in self.shapes:
            found = ", ".join(sorted(self.shapes)) or "none"
            raise UserError(f"{self.path}: no such numeric array: got {found}, expected {name}")

    def raise_unreadable(self, error: Exception) -> NoReturn:
        """Raise UserError for a file whose bytes cannot be read."""
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{self.path}: it cannot be read: {reason}; is the download complete?") from None
