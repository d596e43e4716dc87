"""MATLAB files: versions 4 to 7 through SciPy, version 7.3, which is HDF5, through h5py.

Arrays always have MATLAB's axes; h5py itself returns those of version 7.3 in reverse order.
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
from retbench_datasets.formats.array_file import ArrayFile, slice_axis

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
SIGNATURE_OFFSETS = (0, 512, 1024, 2048)
"""Possible offsets of HDF5's signature: MATLAB writes a header of 512 bytes before it, Python none."""

NUMERIC_CLASSES = frozenset(
    ("double", "single", "logical", "sparse", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
)
"""MATLAB classes of numeric arrays, as SciPy names them."""


def read_mat(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of those names, whole, with MATLAB's axes; a sparse matrix becomes dense.

    Raises:
        UserError: the file cannot be read or is no MATLAB file, it has no array of a name (lists its arrays), or the
            package that reads the format is not installed.
    """
    with open_mat(path) as arrays:
        return {name: arrays.read(name) for name in names}


@contextmanager
def open_mat(path: Path) -> Iterator[ArrayFile]:
    """Open a file for a `with` block; arrays of version 7.3 are read in blocks, older ones whole and once.

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
            head = stream.read(SIGNATURE_OFFSETS[-1] + len(HDF5_SIGNATURE))
    except OSError as error:
        raise UserError(f"{path}: it cannot be read: {error.strerror}") from None
    return any(head[offset:].startswith(HDF5_SIGNATURE) for offset in SIGNATURE_OFFSETS)


def _open_hdf5(path: Path) -> Any:
    h5py = load_extra("h5py", str(path))
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path}: it cannot be read: {error}; is the download complete?") from None


class _Version73(ArrayFile):
    def __init__(self, path: Path, handle: Any) -> None:
        self._datasets = {name: item for name, item in handle.items() if _is_numeric(item)}
        super().__init__(path, {name: item.shape[::-1] for name, item in self._datasets.items()})

    def read(self, name: str, axis: int = 0, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        self.require(name)
        stored = self._datasets[name]
        try:
            part = stored[slice_axis(stored.ndim, self._stored_axis(name, axis), start, stop)]
            return np.asarray(part).transpose()
        except OSError as error:
            self.raise_unreadable(error)

    def chunk_length(self, name: str, axis: int) -> int:
        chunks = self._datasets[name].chunks
        return int(chunks[self._stored_axis(name, axis)]) if chunks else 1

    def element_bytes(self, name: str) -> int:
        return int(self._datasets[name].dtype.itemsize)

    def _stored_axis(self, name: str, axis: int) -> int:
        return len(self.shapes[name]) - 1 - axis


def _is_numeric(item: Any) -> bool:
    """Return whether it is a numeric array: no struct or sparse matrix (groups), cell, text or empty array."""
    kind = getattr(getattr(item, "dtype", None), "kind", "none")
    attributes = item.attrs
    return (
        kind in "biuf"
        and item.ndim > 0
        and not attributes.get("MATLAB_empty", 0)
        and attributes.get("MATLAB_class") != b"char"
    )


class _Version5(ArrayFile):
    """A file whose arrays are read whole, because each is compressed as a whole; none exceeds two gibibytes."""

    def __init__(self, path: Path) -> None:
        self._scipy = load_extra("scipy.io", str(path))
        self._arrays: dict[str, NDArray[Any]] = {}
        super().__init__(path, {})
        listed = self._call("whosmat")
        self.shapes = {name: shape for name, shape, kind in listed if kind in NUMERIC_CLASSES}

    def read(self, name: str, axis: int = 0, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        self.require(name)
        if name not in self._arrays:
            loaded = self._call("loadmat", variable_names=[name])[name]
            self._arrays[name] = loaded.toarray() if hasattr(loaded, "toarray") else loaded
        return self._arrays[name][slice_axis(len(self.shapes[name]), axis, start, stop)]

    def element_bytes(self, name: str) -> int:
        return 8

    def _call(self, function: str, **options: Any) -> Any:
        try:
            return getattr(self._scipy, function)(str(self.path), **options)
        except MemoryError:
            raise
        except Exception as error:  # broken files make SciPy raise any exception, even zlib.error and TypeError
            self.raise_unreadable(error)
