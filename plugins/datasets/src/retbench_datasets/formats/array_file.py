"""A file of named arrays, whatever its format: their shapes, and blocks of them along one axis."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from retbench import UserError

BLOCK = 2**29
"""Bytes that are read at once, about: NUS-WIDE's pictures come in 55 blocks of half a gibibyte."""


def cut(dimensions: int, axis: int, start: int, stop: int | None) -> tuple[slice, ...]:
    """Returns the index that cuts an array to `start:stop` along an axis and leaves the others whole."""
    return tuple(slice(start, stop) if place == axis else slice(None) for place in range(dimensions))


class Block(NamedTuple):
    """Some consecutive items of an array.

    Attributes:
        start: number of the first item along the axis.
        items: the array, cut along the axis; every other axis is whole.
    """

    start: int
    items: NDArray[Any]


class ArrayFile(ABC):
    """An open file that holds numeric arrays by name.

    Attributes:
        path: the file.
        shapes: shape of each numeric array, by name.
    """

    def __init__(self, path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
        self.path = path
        self.shapes = shapes

    @abstractmethod
    def read(self, name: str, axis: int = 0, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Returns an array cut to `start:stop` along an axis; by default whole.

        Raises:
            UserError: the array is not there, or its bytes are broken.
        """

    @abstractmethod
    def item_bytes(self, name: str) -> int:
        """Returns the bytes of one number of an array, or the most it may have."""

    def granule(self, name: str, axis: int) -> int:
        """Returns how many items along an axis the file stores together: reading fewer costs as much."""
        return 1

    def blocks(self, name: str, axis: int, limit: int = BLOCK) -> Iterator[range]:
        """Yields the ranges of items that are read at once: about `limit` bytes each, one item at least.

        A range holds a whole number of granules where one fits, so that nothing is decompressed twice.
        """
        self.require(name)
        shape = self.shapes[name]
        number = self.item_bytes(name) * int(np.prod(shape, dtype=np.int64)) // max(shape[axis], 1)
        length = max(1, limit // max(number, 1))
        granule = self.granule(name, axis)
        if length > granule:
            length -= length % granule
        for start in range(0, shape[axis], length):
            yield range(start, min(start + length, shape[axis]))

    def walk(self, name: str, axis: int, limit: int = BLOCK) -> Iterator[Block]:
        """Yields an array in blocks of about `limit` bytes along an axis; raises UserError as `read`."""
        for rows in self.blocks(name, axis, limit):
            yield Block(rows.start, self.read(name, axis, rows.start, rows.stop))

    def require(self, name: str) -> None:
        """Raises UserError, with the names that are there, if an array is not."""
        if name not in self.shapes:
            found = ", ".join(sorted(self.shapes)) or "nothing"
            raise UserError(f"{self.path}: there is no such array of numbers: got {found}, expected {name}")

    def refuse(self, error: Exception) -> NoReturn:
        """Raises UserError for a file whose bytes cannot be read."""
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{self.path}: it cannot be read: {reason}; is the download complete?") from None
