"""The index of a folder of images: three splits, read from lists, checked on disk and digested."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from retbench import SPLITS, Split, UserError
from retbench_datasets.formats.file_stamp import Stamp, stamp
from retbench_datasets.formats.image_label_lists import list_paths, numbered_classes, read_classes, read_listing
from retbench_datasets.formats.split import Listing


@dataclass(frozen=True, eq=False)
class ImageIndex:
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

        Reads the size of every file once a process: a second for 200 000 files of a local disk.

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

    def missing_image(self) -> str | None:
        """Returns the first image that is not there, with its line, or None; looks at every file, as `digest` does."""
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


def read_index(root: Path, classes: tuple[str, ...] | None = None, folder: Path | None = None) -> ImageIndex:
    """Returns the three splits of a folder, remembered while none of its list files changes.

    Args:
        root: the folder that the listed paths are below.
        classes: names of the label columns; None takes those of `classes.txt`, or numbers them.
        folder: the folder of the lists; None for `root`.

    Raises:
        UserError: a list is missing or malformed, or two of them do not fit; names file and line.
    """
    listed = folder or root
    files = [path for split in SPLITS for path in list_paths(listed, split)]
    return _read_index(root, listed, classes, tuple(map(stamp, [*files, listed / "classes.txt"])))


@lru_cache(maxsize=8)
def _read_index(root: Path, folder: Path, classes: tuple[str, ...] | None, stamps: tuple[Stamp, ...]) -> ImageIndex:
    listed = _read_classes(folder) if classes is None else classes
    columns = len(listed) if listed else None
    splits: dict[Split, Listing] = {}
    for split in SPLITS:
        splits[split] = read_listing(folder, split, columns)
        columns = splits[split].labels.shape[1]
    return ImageIndex(root, listed or numbered_classes(columns or 0), splits)


def _read_classes(folder: Path) -> tuple[str, ...] | None:
    path = folder / "classes.txt"
    return read_classes(path) if path.is_file() else None
