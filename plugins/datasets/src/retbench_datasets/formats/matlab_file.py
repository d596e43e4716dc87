"""MATLAB files: versions 4 to 7 through SciPy, version 7.3, which is HDF5, through h5py.

Arrays come out with MATLAB's axes whichever format holds them: h5py sees those of version 7.3 in reverse order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retbench import UserError
from retbench_datasets.extras import load_extra
from retbench_datasets.formats.array_file import ArrayFile, cut

SIGNATURE = b"\x89HDF\r\n\x1a\n"
OFFSETS = (0, 512, 1024, 2048)
"""Where HDF5's signature may be: MATLAB writes 512 bytes of its own before it, Python none."""

NUMERIC = frozenset(
    ("double", "single", "logical", "sparse", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
)
"""Classes of MATLAB that are arrays of numbers, as SciPy names them."""


def read_mat(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Returns the arrays of those names, whole, with MATLAB's axes; a sparse matrix is made full.

    Raises:
        UserError: the file cannot be read or is no MATLAB file, an array is not there (says which are), or a package
            that reads the format is not installed.
    """
    with open_mat(path) as arrays:
        return {name: arrays.read(name) for name in names}


@contextmanager
def open_mat(path: Path) -> Iterator[ArrayFile]:
    """Returns the file for a `with` block; arrays of version 7.3 are read in parts, older ones whole, once.

    Raises:
        UserError: as `read_mat`.
    """
    if not _is_hdf5(path):
        yield _Version5(path)
        return
    handle = _open_hdf5(path)
    try:
        yield _Version73(path, handle)
    finally:
        handle.close()


def _is_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            head = stream.read(OFFSETS[-1] + len(SIGNATURE))
    except OSError as error:
        raise UserError(f"{path}: it cannot be read: {error.strerror}") from None
    return any(head[offset:].startswith(SIGNATURE) for offset in OFFSETS)


def _open_hdf5(path: Path) -> Any:
    h5py = load_extra("h5py", str(path))
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path}: it cannot be read: {error}; is the download complete?") from None


class _Version73(ArrayFile):
    def __init__(self, path: Path, handle: Any) -> None:
        self._sets = {name: item for name, item in handle.items() if _holds_numbers(item)}
        super().__init__(path, {name: item.shape[::-1] for name, item in self._sets.items()})

    def read(self, name: str, axis: int = 0, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        self.require(name)
        stored = self._sets[name]
        try:
            part = stored[cut(stored.ndim, self._stored_axis(name, axis), start, stop)]
            return np.asarray(part).transpose()
        except OSError as error:
            self.refuse(error)

    def granule(self, name: str, axis: int) -> int:
        chunks = self._sets[name].chunks
        return int(chunks[self._stored_axis(name, axis)]) if chunks else 1

    def item_bytes(self, name: str) -> int:
        return int(self._sets[name].dtype.itemsize)

    def _stored_axis(self, name: str, axis: int) -> int:
        return len(self.shapes[name]) - 1 - axis


def _holds_numbers(item: Any) -> bool:
    """Whether it is an array of numbers: not a struct or sparse matrix (groups), a cell, a text or an empty array."""
    kind = getattr(getattr(item, "dtype", None), "kind", "none")
    attributes = item.attrs
    return (
        kind in "biuf"
        and item.ndim > 0
        and not attributes.get("MATLAB_empty", 0)
        and attributes.get("MATLAB_class") != b"char"
    )


class _Version5(ArrayFile):
    """Reads an array whole, because the format compresses it as a whole; none is larger than two gibibytes."""

    def __init__(self, path: Path) -> None:
        self._scipy = load_extra("scipy.io", str(path))
        self._whole: dict[str, NDArray[Any]] = {}
        super().__init__(path, {})
        listed = self._call("whosmat")
        self.shapes = {name: shape for name, shape, kind in listed if kind in NUMERIC}

    def read(self, name: str, axis: int = 0, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        self.require(name)
        if name not in self._whole:
            found = self._call("loadmat", variable_names=[name])[name]
            self._whole[name] = found.toarray() if hasattr(found, "toarray") else found
        return self._whole[name][cut(len(self.shapes[name]), axis, start, stop)]

    def item_bytes(self, name: str) -> int:
        return 8

    def _call(self, function: str, **options: Any) -> Any:
        try:
            return getattr(self._scipy, function)(str(self.path), **options)
        except MemoryError:
            raise
        except Exception as error:  # a broken file makes SciPy raise anything, zlib.error and TypeError included
            self.refuse(error)
