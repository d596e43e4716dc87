"""The index of a folder of images: three splits, read from lists, checked on disk and digested."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
        names = list(dict.fromkeys(name for split in SPLITS for name in self.splits[split].names))
        with self._locate_errors():
            paths = self._paths(names)
            marks = digest_files(paths) if identity == "content" else [str(os.stat(path).st_size) for path in paths]
        files = dict(zip(names, marks, strict=True))
        total = hashlib.sha256("\0".join(self.classes).encode())
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
        paths = self._paths(self.splits[split].names)
        with self._locate_errors():
            if identity == "content":
                return ImageFile.read(paths)
            return [ImageFile(f"{state.st_dev}:{state.st_ino}", None) for state in map(os.stat, paths)]

    def missing_image(self) -> str | None:
        """Return the first image that does not exist, with its line, or None; no file is read.

        It takes about a second for 200 000 files on a local disk.
        """
        try:
            with self._locate_errors():
                for split in SPLITS:
                    for path in self._paths(self.splits[split].names):
                        os.stat(path)
        except UserError as error:
            return str(error)
        return None

    def _paths(self, names: Sequence[str]) -> list[str]:
        return [f"{self.root}/{name}" for name in names]  # a Path for each of 200 000 files would double the time

    @contextmanager
    def _locate_errors(self) -> Iterator[None]:
        """Turn an error about an image file in this block into a UserError that names the line that lists it."""
        try:
            yield
        except OSError as error:
            problem = "no such image: {}" if isinstance(error, FileNotFoundError) else "the image {} cannot be read: {}"
            failed = os.path.abspath(error.filename)
            for split in SPLITS:
                listed = self.splits[split]
                for row, path in enumerate(self._paths(listed.names)):
                    if os.path.abspath(path) == failed:
                        raise UserError(f"{listed.locate(row)}: {problem.format(path, error.strerror)}") from None
            raise


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
