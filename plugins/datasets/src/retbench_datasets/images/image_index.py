"""The index of a folder of images: three splits, read from lists, checked on disk and digested."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from retbench import SPLITS, ImageFile, Split, UserError, digest_files
from retbench_datasets.formats.file_state import FileState, read_file_state
from retbench_datasets.formats.image_label_lists import list_paths, numbered_classes, read_classes, read_split
from retbench_datasets.formats.listed_images import ListedImages

Identity = Literal["content", "size"]


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """The three splits of a folder of images.

    Attributes:
        root: the folder.
        classes: names, in the order of the label columns.
        splits: the images of each split.

    Raises:
        UserError: a query is listed twice, or is also in the database.
    """

    root: Path
    classes: tuple[str, ...]
    splits: Mapping[Split, ListedImages]

    def __post_init__(self) -> None:
        queries: dict[str, str] = {}
        for split in ("query", "database"):
            listed = self.splits[split]
            for row, name in enumerate(listed.names):
                if name in queries:
                    problem = "a query is listed twice" if split == "query" else "a query is also in the database"
                    raise UserError(f"{listed.locate(row)}: {problem}: got {name}, a query at {queries[name]}")
                if split == "query":
                    queries[name] = listed.locate(row)

    def digest(self, identity: Identity) -> str:
        """Return the sha256 of names, labels, classes and image files, as hexadecimal digits.

        Args:
            identity: `content` for the bytes of the files, of which only those are read that changed since the last
                run; `size` for their sizes.

        Raises:
            UserError: an image file does not exist; names the line that lists it.
        """
        total, files = hashlib.sha256("\0".join(self.classes).encode()), self._identify(identity)
        for split in SPLITS:
            listed = self.splits[split]
            lines = "\n".join(f"{name}\t{files[name]}" for name in listed.names)
            total.update(f"{split}\0{lines}\0".encode())
            total.update(listed.labels.tobytes())
        return total.hexdigest()

    def files(self, split: Split, identity: Identity) -> list[ImageFile]:
        """Return the file of each image of a split; its content is known with the identity `content`.

        Raises:
            UserError: an image file does not exist; names the line that lists it.
        """
        contents, states = self._identify(identity), self._read_states()
        known = identity == "content"
        return [
            ImageFile(f"{states[name].st_dev}:{states[name].st_ino}", str(contents[name]) if known else None)
            for name in self.splits[split].names
        ]

    def missing_image(self) -> str | None:
        """Return the first image that does not exist, with its line, or None; no file is read."""
        try:
            self._read_states()
        except UserError as error:
            return str(error)
        return None

    def _identify(self, identity: Identity) -> dict[str, str | int]:
        """Return the digest or the size of each image file, by name."""
        states = self._read_states()
        if identity == "size":
            return {name: state.st_size for name, state in states.items()}
        try:
            return dict(zip(states, digest_files([f"{self.root}/{name}" for name in states]), strict=True))
        except OSError as error:
            raise UserError(f"{error.filename}: the image cannot be read: {error.strerror}") from None

    def _read_states(self) -> dict[str, os.stat_result]:
        """Return the state of each image file, by name: about a second for 200 000 files on a local disk."""
        states: dict[str, os.stat_result] = {}
        for split in SPLITS:
            listed = self.splits[split]
            for row, name in enumerate(listed.names):
                if name not in states:
                    states[name] = self._read_state(listed, row)
        return states

    def _read_state(self, listed: ListedImages, row: int) -> os.stat_result:
        path = f"{self.root}/{listed.names[row]}"  # a Path for each of 200 000 files would double the time
        try:
            return os.stat(path)
        except FileNotFoundError:
            raise UserError(f"{listed.locate(row)}: no such image: {path}") from None
        except OSError as error:
            raise UserError(f"{listed.locate(row)}: the image {path} cannot be read: {error.strerror}") from None


def read_index(root: Path, classes: tuple[str, ...] | None = None, lists: Path | None = None) -> ImageIndex:
    """Return the index of a folder, cached while none of its list files changes.

    Args:
        root: the folder that the listed paths are relative to.
        classes: names of the label columns; None takes those of `classes.txt`, or numbers them.
        lists: the folder of the lists; None for `root`.

    Raises:
        UserError: a list is missing or malformed, or two of them do not fit; names file and line.
    """
    folder = lists or root
    files = [path for split in SPLITS for path in list_paths(folder, split)]
    return _read_index(root, folder, classes, tuple(map(read_file_state, [*files, folder / "classes.txt"])))


@lru_cache(maxsize=8)
def _read_index(root: Path, folder: Path, classes: tuple[str, ...] | None, states: tuple[FileState, ...]) -> ImageIndex:
    names = _read_class_names(folder) if classes is None else classes
    columns = len(names) if names else None
    splits: dict[Split, ListedImages] = {}
    for split in SPLITS:
        splits[split] = read_split(folder, split, columns)
        columns = splits[split].labels.shape[1]
    return ImageIndex(root, names or numbered_classes(columns or 0), splits)


def _read_class_names(folder: Path) -> tuple[str, ...] | None:
    path = folder / "classes.txt"
    return read_classes(path) if path.is_file() else None
