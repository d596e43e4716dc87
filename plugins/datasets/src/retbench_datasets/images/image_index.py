"""Which pictures a split holds, what they show, and where that is written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import UserError

Split = Literal["train", "query", "database"]
SPLITS: tuple[Split, ...] = ("train", "query", "database")


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


@dataclass(frozen=True, eq=False)
class Index:
    """The three splits of a folder of pictures.

    Attributes:
        root: the folder.
        classes: names, in the order of the label columns.
        splits: what each split lists.

    Raises:
        UserError: a query listed twice, or in the database too.
    """

    root: Path
    classes: tuple[str, ...]
    splits: Mapping[Split, Listing]

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for split in ("query", "database"):
            listing = self.splits[split]
            for row, name in enumerate(listing.names):
                if name in seen:
                    problem = "a query is listed twice" if split == "query" else "a query is in the database"
                    raise UserError(f"{listing.place(row)}: {problem}: got {name}, which is a query at {seen[name]}")
                if split == "query":
                    seen[name] = listing.place(row)

    @cached_property
    def digest(self) -> str:
        """The sha256 of names, labels, classes and the sizes of the picture files, as hexadecimal digits.

        Every file's size is asked for, once a process: a second for 200 000 files of a local disk.

        Raises:
            UserError: a picture is not there; names the line that lists it.
        """
        total, sizes = hashlib.sha256("\0".join(self.classes).encode()), dict[str, int]()
        for split in SPLITS:
            listing = self.splits[split]
            for row, name in enumerate(listing.names):
                if name not in sizes:
                    sizes[name] = self._size(listing, row)
            written = "\n".join(f"{name}\t{sizes[name]}" for name in listing.names)
            total.update(f"{split}\0{written}\0".encode())
            total.update(listing.labels.tobytes())
        return total.hexdigest()

    def absent(self) -> str | None:
        """Returns the first picture that is not there, with its line, or None; asks for every file, as `digest`."""
        try:
            _ = self.digest
        except UserError as error:
            return str(error)
        return None

    def _size(self, listing: Listing, row: int) -> int:
        path = f"{self.root}/{listing.names[row]}"  # a Path for each of 200 000 files would double the time
        try:
            return os.stat(path).st_size
        except FileNotFoundError:
            raise UserError(f"{listing.place(row)}: no such picture: {path}") from None
        except OSError as error:
            raise UserError(f"{listing.place(row)}: the picture {path} cannot be read: {error.strerror}") from None


def read_lines(path: Path) -> list[str]:
    """Returns the lines of a text file without spaces around them; empty lines at the end are dropped.

    Raises:
        UserError: it cannot be read, is not UTF-8, is empty, or has an empty line in the middle; names the line.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().split("\n")]
    except OSError as error:
        raise UserError(f"{path}: it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: it is not UTF-8: got byte {error.object[error.start]:#x} at {error.start}") from None
    if "" in lines:
        problem = "an empty file" if len(lines) == 1 else "an empty line"
        raise UserError(f"{path}:{lines.index('') + 1}: {problem}: expected something on every line")
    return lines


def picture_name(path: str, place: str) -> str:
    """Returns a listed path as an id: relative, with slashes and no `.`; `place` is where it is listed.

    Raises:
        UserError: it is absolute, or leads out of the folder: then the list would hold on one machine only.
    """
    name = PurePosixPath(path.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise UserError(f"{place}: a picture's path must stay in the dataset's folder: got {path!r}")
    return str(name)


class Stamp(NamedTuple):
    """What changes when a file or folder does: what was read from it is remembered while this stays the same."""

    path: Path
    modified: int
    size: int
    inode: int


def stamp(path: Path) -> Stamp:
    """Returns the stamp of a file or folder; of one that is not there, zeros."""
    try:
        facts = path.stat()
    except OSError:
        return Stamp(path, 0, 0, 0)
    return Stamp(path, facts.st_mtime_ns, facts.st_size, facts.st_ino)


def file_digest(path: Path) -> str:
    """Returns the sha256 of a file, remembered while its stamp stays; raises UserError for one that cannot be read."""
    return _file_digest(stamp(path))


@lru_cache(maxsize=64)
def _file_digest(stamped: Stamp) -> str:
    try:
        with stamped.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{stamped.path}: it cannot be read: {error.strerror}") from None
