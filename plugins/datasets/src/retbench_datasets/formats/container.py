"""Containers: the MATLAB files in which cross-modal datasets were published, several kinds under one file name.

`FLICKR-25K.mat` alone exists in four kinds, which differ in the names and shapes of their arrays.

| kind | files | arrays |
| --- | --- | --- |
| TA-DCH | `WIKIPEDIA.mat`, `IAPR-TC12.mat`, `FLICKR-25K.mat`, `MS-COCO.mat`, `NUS-WIDE.mat` | `IAll` `LAll` `TAll` |
| DCMH | `FLICKR-25K.mat` | `images` or `IAll`, `LAll`, `YAll` |
| DCMH, 3 files | `mirflickr25k-{iall,lall,yall}.mat`, `nus-wide-tc21-{iall,lall,yall}.mat` | `IAll` `LAll` `YAll` |
| DADH | `FLICKR-25K.mat`, `NUS-WIDE-TC21.mat` | `images` or `image`, 4096 features each: refused |
| DGCPN | `label.npy`, `tags.npy`, `*_vgg19.npy` | features; the images of the rows are not known: refused |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import UserError
from retbench_datasets.formats.array_axes import find_sample_axis
from retbench_datasets.formats.array_file import ArrayFile
from retbench_datasets.formats.matlab_file import open_mat

IMAGE_ARRAYS, LABEL_ARRAYS, TEXT_ARRAYS = ("IAll", "images", "image"), ("LAll", "label"), ("TAll", "YAll", "text")
"""Names of the arrays in the different publications."""
CONTAINER_FILES = {
    "wikipedia": ("WIKIPEDIA.mat",),
    "iapr-tc12": ("IAPR-TC12.mat",),
    "flickr25k": ("FLICKR-25K.mat",),
    "mscoco": ("MS-COCO.mat",),
    "nuswide": ("NUS-WIDE.mat", "NUS-WIDE-TC21.mat"),
}
"""Files that hold a whole dataset, by dataset name."""
ARRAY_FILE_PREFIXES = {"flickr25k": "mirflickr25k", "nuswide": "nus-wide-tc21"}
"""Prefix of DCMH's three files of one array each, by dataset name."""


class ContainerSpec(NamedTuple):
    """The expected content of a dataset's container.

    Attributes:
        name: the dataset, as in `data/<name>`.
        classes: C, columns of the labels.
        text_width: T, numbers of a text vector.
        rows: N; None accepts any number.
        size: height and width of the images.
    """

    name: str
    classes: int
    text_width: int
    rows: int | None = None
    size: int = 224


class ArrayLocation(NamedTuple):
    """A file and the name of an array in it."""

    path: Path
    array: str

    def __str__(self) -> str:
        return f"{self.path}: {self.array}"


class Container(NamedTuple):
    """The locations of a dataset's three arrays."""

    images: ArrayLocation
    labels: ArrayLocation
    texts: ArrayLocation


def container_files(root: Path, name: str) -> tuple[Path, ...]:
    """Return the existing files with the name of a dataset's container, whatever they hold; empty if there is none."""
    return tuple(path for path in _candidates(root, name) if path.is_file())


def feature_files(root: Path) -> tuple[Path, ...]:
    """Return the existing files with the names of DGCPN's, whatever they hold; none of them can be used here."""
    paths = (root / "label.npy", *root.glob("*_vgg19.npy"), root / "tags.npy")
    return tuple(sorted(path for path in paths if path.is_file()))


def array_file_names(name: str) -> tuple[str, ...]:
    """Return the names of DCMH's files of one array each: images, labels, texts; empty for most datasets."""
    if name not in ARRAY_FILE_PREFIXES:
        return ()
    return tuple(f"{ARRAY_FILE_PREFIXES[name]}-{array}.mat" for array in ("iall", "lall", "yall"))


def _candidates(root: Path, name: str) -> Iterator[Path]:
    yield from (root / file for file in (*CONTAINER_FILES.get(name, ()), *array_file_names(name)))


def find_container(root: Path, spec: ContainerSpec) -> Container | None:
    """Return the locations of the arrays, or None if there are none; a file with all three arrays comes first.

    Raises:
        UserError: a file is broken or lacks an array, or there are only features without images, which attacks and
            purification need.
    """
    problems: list[str] = []
    for find in (_find_whole_file, _refuse_features, _find_array_files):
        result = find(root, spec)
        if isinstance(result, Container):
            return result
        problems += result
    if problems:
        raise UserError(problems[0])
    return None


def read_labels(container: Container, spec: ContainerSpec) -> NDArray[np.uint8]:
    """Return uint8 (N, C), multi-hot; raises UserError with file, array and row of a wrong shape or value."""
    labels = _read_table(container.labels, spec.classes, spec.rows, _check_labels)
    return labels.astype(np.uint8, copy=False)


def read_texts(container: Container, spec: ContainerSpec, rows: int) -> NDArray[Any]:
    """Return (N, T) of `rows` texts: uint8 if all numbers are integers from 0 to 255, else float32.

    Raises:
        UserError: the array has a wrong shape or value; names file, array and row.
    """
    return _read_table(container.texts, spec.text_width, rows, _check_texts)


FindResult = Container | list[str]
"""A container, or the reasons why the existing files are none; no reason if there are no files."""


def _find_whole_file(root: Path, spec: ContainerSpec) -> FindResult:
    problems = []
    for path in (root / name for name in CONTAINER_FILES.get(spec.name, ())):
        if not path.is_file():
            continue
        with open_mat(path) as arrays:
            images, labels, texts = (_locate(arrays, names) for names in (IMAGE_ARRAYS, LABEL_ARRAYS, TEXT_ARRAYS))
            shape = arrays.shapes[images.array]
        if len(shape) == 4:
            return Container(images, labels, texts)
        problems.append(_describe_features(path, shape, spec))
    return problems


def _locate(arrays: ArrayFile, names: tuple[str, ...]) -> ArrayLocation:
    for name in names:
        if name in arrays.shapes:
            return ArrayLocation(arrays.path, name)
    found = ", ".join(sorted(arrays.shapes)) or "none"
    raise UserError(f"{arrays.path}: an array is missing: got {found}, expected one of {', '.join(names)}")


def _describe_features(path: Path, shape: tuple[int, ...], spec: ContainerSpec) -> str:
    names = array_file_names(spec.name)
    dcmh = f" or DCMH's {', '.join(names)}" if names else ""
    return (
        f"{path}: it holds features, but attacks and purification need images: got shape {shape}, expected 4 axes; "
        f"get TA-DCH's {CONTAINER_FILES[spec.name][0]}{dcmh}, or move this file away and use the original download"
    )


def _find_array_files(root: Path, spec: ContainerSpec) -> FindResult:
    paths = [root / name for name in array_file_names(spec.name)]
    existing = [path for path in paths if path.is_file()]
    if existing and len(existing) == len(paths):
        arrays = zip(paths, (IMAGE_ARRAYS, LABEL_ARRAYS, TEXT_ARRAYS), strict=True)
        return Container(*(_locate_in_file(path, names) for path, names in arrays))
    missing = [path for path in paths if path not in existing]
    return [f"{missing[0]}: no such file, but {existing[0].name} exists: expected both"] if existing else []


def _locate_in_file(path: Path, names: tuple[str, ...]) -> ArrayLocation:
    with open_mat(path) as arrays:
        return _locate(arrays, names)


def _refuse_features(root: Path, spec: ContainerSpec) -> list[str]:
    if not (found := feature_files(root)):
        return []
    missing = ", ".join(name for name in array_file_names(spec.name) if not (root / name).is_file())
    expected = CONTAINER_FILES[spec.name][0] + (f" or {missing}" if missing else "")
    return [
        f"{found[0]}: DGCPN's files hold features, and the images of their rows are not known: got "
        f"{', '.join(path.name for path in found)}, expected {expected}; get those, or move these files away and use "
        "the original download"
    ]


BlockCheck = Callable[[NDArray[Any], str, int], NDArray[Any]]
"""Converts a block of rows to the type it is kept in; raises UserError naming the row. Arguments: block, location,
index of its first row."""


def _read_table(location: ArrayLocation, width: int, rows: int | None, check: BlockCheck) -> NDArray[Any]:
    """Return (N, width): uint8 if every block is, else float32."""
    with open_mat(location.path) as arrays:
        arrays.require(location.array)
        axis = find_sample_axis(arrays.shapes[location.array], width, rows, str(location))
        blocks = [
            check(block.items if axis == 0 else block.items.transpose(), str(location), block.start)
            for block in arrays.read_blocks(location.array, axis)
        ]
    if not blocks:
        raise UserError(f"{location}: it has no rows: got shape {arrays.shapes[location.array]}")
    return np.ascontiguousarray(np.concatenate(blocks))


def _check_labels(block: NDArray[Any], location: str, start: int) -> NDArray[Any]:
    valid = (block == 0) | (block == 1)
    if not valid.all():
        row, column = np.argwhere(~valid)[0]
        raise UserError(f"{location}: row {start + row}: a label must be 0 or 1: got {block[row, column]}")
    return block.astype(np.uint8)


def _check_texts(block: NDArray[Any], location: str, start: int) -> NDArray[Any]:
    """Return uint8 if all numbers are integers from 0 to 255 (bags of words), else float32."""
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, and is refused below
        numbers = block.astype(np.float32)
    finite = np.isfinite(numbers).all(axis=1)
    if not finite.all():
        row = start + int(np.argmin(finite))
        raise UserError(f"{location}: row {row}: a text must consist of numbers that are finite in float32")
    small = np.all((block >= 0) & (block <= 255) & (block == np.floor(block)))
    return block.astype(np.uint8) if small else numbers
