"""Containers: the files in which cross-modal datasets were published, several kinds under one name.

`FLICKR-25K.mat` alone exists in four kinds, which differ in the names and shapes of their arrays.

| kind | files | arrays |
| --- | --- | --- |
| TA-DCH | `WIKIPEDIA.mat`, `IAPR-TC12.mat`, `FLICKR-25K.mat`, `MS-COCO.mat`, `NUS-WIDE.mat` | `IAll` `LAll` `TAll` |
| DCMH | `FLICKR-25K.mat` | `images` or `IAll`, `LAll`, `YAll` |
| DCMH in parts | `mirflickr25k-{iall,lall,yall}.mat`, `nus-wide-tc21-{iall,lall,yall}.mat` | `IAll`, `LAll`, `YAll` |
| DADH | `FLICKR-25K.mat`, `NUS-WIDE-TC21.mat` | `images` or `image`, 4096 features each: refused |
| DGCPN | `label.npy`, `tags.npy`, `*_vgg19.npy` | features, and nothing shows which pictures the rows are of: refused |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import UserError
from retbench_datasets.formats.array_axes import sample_axis
from retbench_datasets.formats.array_file import ArrayFile
from retbench_datasets.formats.matlab_file import open_mat

PICTURES, LABELS, TEXTS = ("IAll", "images", "image"), ("LAll", "label"), ("TAll", "YAll", "text")
"""Names that the arrays have in one publication or another."""
CONTAINER_FILES = {
    "wikipedia": ("WIKIPEDIA.mat",),
    "iapr-tc12": ("IAPR-TC12.mat",),
    "flickr25k": ("FLICKR-25K.mat",),
    "mscoco": ("MS-COCO.mat",),
    "nuswide": ("NUS-WIDE.mat", "NUS-WIDE-TC21.mat"),
}
"""Files that hold a whole dataset, by its name here."""
PART_PREFIXES = {"flickr25k": "mirflickr25k", "nuswide": "nus-wide-tc21"}
"""How the files of one array each begin, by the dataset's name here."""


class Contents(NamedTuple):
    """What a published container of a dataset must hold.

    Attributes:
        name: the dataset, as in `data/<name>`.
        classes: C, columns of the labels.
        text_width: T, numbers of a text.
        rows: N; None takes what is there.
        size: height and width of its pictures.
    """

    name: str
    classes: int
    text_width: int
    rows: int | None = None
    size: int = 224


class Place(NamedTuple):
    """Where an array is: a file and its name there."""

    path: Path
    array: str

    def __str__(self) -> str:
        return f"{self.path}: {self.array}"


class Container(NamedTuple):
    """Where the three arrays of a dataset are."""

    pictures: Place
    labels: Place
    texts: Place


def container_files(root: Path, contents: Contents) -> tuple[Path, ...]:
    """Returns the files in a folder that a container could be made of, by their names alone; empty if there is none."""
    return tuple(path for path in _candidates(root, contents.name) if path.is_file())


def feature_files(root: Path) -> tuple[Path, ...]:
    """Returns DGCPN's files in a folder, by their names alone; none of them is of use here."""
    paths = (root / "label.npy", *root.glob("*_vgg19.npy"), root / "tags.npy")
    return tuple(sorted(path for path in paths if path.is_file()))


def part_file_names(name: str) -> tuple[str, ...]:
    """Returns the names of DCMH's files of one array each: pictures, labels, texts; empty for most datasets."""
    return (
        tuple(f"{PART_PREFIXES[name]}-{part}.mat" for part in ("iall", "lall", "yall")) if name in PART_PREFIXES else ()
    )


def _candidates(root: Path, name: str) -> Iterator[Path]:
    yield from (root / file for file in (*CONTAINER_FILES.get(name, ()), *part_file_names(name)))


def find_container(root: Path, contents: Contents) -> Container | None:
    """Returns where the arrays are, the file of a whole dataset before files of one array; None if there is nothing.

    Raises:
        UserError: a file is broken, or lacks an array; or all that is there are features without the pictures, which
            attacks and purification need.
    """
    problems: list[str] = []
    for find in (_whole_file, _no_features, _parts):
        found = find(root, contents)
        if isinstance(found, Container):
            return found
        problems += found
    if problems:
        raise UserError(problems[0])
    return None


def read_labels(container: Container, contents: Contents) -> NDArray[np.uint8]:
    """Returns uint8 (N, C), multi-hot; raises UserError naming file, array and row of a wrong shape or value."""
    labels = _read_table(container.labels, contents.classes, contents.rows, _check_labels)
    return labels.astype(np.uint8, copy=False)


def read_texts(container: Container, contents: Contents, rows: int) -> NDArray[Any]:
    """Returns (N, T) of `rows` texts: uint8 where all numbers are whole and 0 to 255, else float32.

    Raises:
        UserError: the array has a wrong shape or value; names file, array and row.
    """
    return _read_table(container.texts, contents.text_width, rows, _check_texts)


Found = Container | list[str]
"""A container, or the reasons why what is there is none; no reason where nothing is there."""


def _whole_file(root: Path, contents: Contents) -> Found:
    problems = []
    for path in (root / name for name in CONTAINER_FILES.get(contents.name, ())):
        if not path.is_file():
            continue
        with open_mat(path) as arrays:
            pictures, labels, texts = (_place(arrays, names) for names in (PICTURES, LABELS, TEXTS))
            shape = arrays.shapes[pictures.array]
        if len(shape) == 4:
            return Container(pictures, labels, texts)
        problems.append(_features(path, shape, contents))
    return problems


def _place(arrays: ArrayFile, names: tuple[str, ...]) -> Place:
    for name in names:
        if name in arrays.shapes:
            return Place(arrays.path, name)
    found = ", ".join(sorted(arrays.shapes)) or "nothing"
    raise UserError(f"{arrays.path}: an array is missing: got {found}, expected one of {', '.join(names)}")


def _features(path: Path, shape: tuple[int, ...], contents: Contents) -> str:
    parts = part_file_names(contents.name)
    part = f" or DCMH's {', '.join(parts)}" if parts else ""
    return (
        f"{path}: it holds features, and attacks and purification need pictures: got shape {shape}, expected 4 axes; "
        f"get TA-DCH's {CONTAINER_FILES[contents.name][0]}{part}, or move it away and take the original download"
    )


def _parts(root: Path, contents: Contents) -> Found:
    paths = [root / name for name in part_file_names(contents.name)]
    there = [path for path in paths if path.is_file()]
    if there and len(there) == len(paths):
        return Container(*(_only(path, names) for path, names in zip(paths, (PICTURES, LABELS, TEXTS), strict=True)))
    lost = [path for path in paths if path not in there]
    return [f"{lost[0]}: no such file, but {there[0].name} is there: expected both"] if there else []


def _only(path: Path, names: tuple[str, ...]) -> Place:
    with open_mat(path) as arrays:
        return _place(arrays, names)


def _no_features(root: Path, contents: Contents) -> list[str]:
    if not (found := feature_files(root)):
        return []
    parts = ", ".join(name for name in part_file_names(contents.name) if not (root / name).is_file())
    expected = CONTAINER_FILES[contents.name][0] + (f" or {parts}" if parts else "")
    return [
        f"{found[0]}: DGCPN's files hold features, and nothing shows which pictures their rows are of: got "
        f"{', '.join(path.name for path in found)}, expected {expected}; get those, or move these away and take the "
        "original download"
    ]


Check = Callable[[NDArray[Any], str, int], NDArray[Any]]
"""Returns a block of rows in the type that it is kept in; raises UserError naming the row. Arguments: block, where, the
number of its first row."""


def _read_table(place: Place, width: int, rows: int | None, check: Check) -> NDArray[Any]:
    """Returns (N, width): uint8 where every block is, else float32."""
    with open_mat(place.path) as arrays:
        arrays.require(place.array)
        axis = sample_axis(arrays.shapes[place.array], width, rows, str(place))
        parts = [
            check(block.items if axis == 0 else block.items.transpose(), str(place), block.start)
            for block in arrays.walk(place.array, axis)
        ]
    if not parts:
        raise UserError(f"{place}: it has no rows: got shape {arrays.shapes[place.array]}")
    return np.ascontiguousarray(np.concatenate(parts))


def _check_labels(block: NDArray[Any], where: str, start: int) -> NDArray[Any]:
    right = (block == 0) | (block == 1)
    if not right.all():
        row, column = np.argwhere(~right)[0]
        raise UserError(f"{where}: row {start + row}: a label must be 0 or 1: got {block[row, column]}")
    return block.astype(np.uint8)


def _check_texts(block: NDArray[Any], where: str, start: int) -> NDArray[Any]:
    """Floats lose what float32 cannot hold; bags of words are kept in one byte a word."""
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        numbers = block.astype(np.float32)
    finite = np.isfinite(numbers).all(axis=1)
    if not finite.all():
        raise UserError(f"{where}: row {start + int(np.argmin(finite))}: a text must be of finite numbers in float32")
    small = np.all((block >= 0) & (block <= 255) & (block == np.floor(block)))
    return block.astype(np.uint8) if small else numbers
