"""The user's own images: one folder per class, or a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from retbench import SPLITS, Split, UserError, data_root
from retbench_datasets.editions.hash_sampling import draw_uniform, hash_order
from retbench_datasets.formats.file_state import FileState, read_file_state
from retbench_datasets.formats.image_label_lists import read_classes
from retbench_datasets.formats.listed_images import ListedImages
from retbench_datasets.formats.manifest import Manifest, read_manifest
from retbench_datasets.images.image_dataset import ImageDataset
from retbench_datasets.images.image_index import ImageIndex
from retbench_datasets.published.image_list import FOLDER_PATTERN

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
MANIFESTS = ("manifest.csv", "manifest.jsonl")


class SplitSizes(NamedTuple):
    """The number of queries and training rows to draw; None for the whole database."""

    queries: int
    training: int | None


class ImageFolder(ImageDataset):
    """Your own images in one folder per class, or listed in `manifest.csv` or `manifest.jsonl`, in `data/<folder>`.

    A manifest has a path, labels and optionally a split for each image. Labels are names, or a 0 or 1 per class; a
    split is `query` (or `test`), `database` or `train`, several joined by `;`. Without splits in a manifest, and for
    one folder per class, the queries are the images whose `query/<path>` has the smallest sha256, the other images are
    the database, and the training rows are those of the database whose `train/<path>` has the smallest sha256. The
    rows are then in hash order, because a database sorted by class would favor some queries where codes tie.
    """

    name: ClassVar[str] = "image-folder"
    source: ClassVar[str] = "the user's files"

    folder: str = Field(
        "image-folder", pattern=FOLDER_PATTERN, description="name of the folder below the root of the datasets"
    )
    queries: int = Field(100, ge=1, description="size of the query split, if no manifest names the splits")
    training: int | None = Field(
        None, ge=1, description="size of the training split, if no manifest names the splits; default: the database"
    )

    @property
    def root(self) -> Path:
        return data_root() / self.folder

    def index(self) -> ImageIndex:
        paths = [*(self.root / name for name in ("", "classes.txt", *MANIFESTS)), *_class_folders(self.root)]
        return _read_index(self.root, SplitSizes(self.queries, self.training), tuple(map(read_file_state, paths)))

    def missing(self) -> str | None:
        if not self.root.is_dir() or not any(self.root.iterdir()):
            return (
                f"{self.root}: there are no images. To get them: put your images there, in one folder per class, or "
                "write manifest.csv with the columns path, labels (names joined by ;) and optionally split"
            )
        return self.index().missing_image()


@lru_cache(maxsize=8)
def _read_index(root: Path, sizes: SplitSizes, states: tuple[FileState, ...]) -> ImageIndex:
    manifests = [root / name for name in MANIFESTS if (root / name).is_file()]
    if len(manifests) > 1:
        raise UserError(f"{root}: two manifests: got {' and '.join(MANIFESTS)}, expected one")
    if not manifests:
        return _index_folders(root, sizes)
    classes_file = root / "classes.txt"
    manifest = read_manifest(manifests[0], read_classes(classes_file) if classes_file.is_file() else None)
    return _index_manifest(root, manifests[0], manifest, sizes)


def _index_folders(root: Path, sizes: SplitSizes) -> ImageIndex:
    classes = tuple(path.name for path in _class_folders(root))
    folders: dict[Path, Path] = {}
    for folder in _class_folders(root):
        if (first := folders.setdefault(folder.resolve(), folder)) is not folder:
            raise UserError(f"{folder}: the same folder as the class {first.name}; remove one of the two links")
    labels, one_hot = {}, np.eye(len(classes), dtype=np.uint8)
    for column, folder in enumerate(_class_folders(root)):
        for name in _image_names(folder):
            labels[f"{folder.name}/{name}"] = one_hot[column]
    splits = _draw_splits(root, labels, sizes)
    return ImageIndex(root, classes, {split: _list_images(names, labels, root) for split, names in splits.items()})


def _index_manifest(root: Path, path: Path, manifest: Manifest, sizes: SplitSizes) -> ImageIndex:
    labels, lines, splits = {}, {}, dict[Split, list[str]]()
    for row in manifest.rows:
        labels[row.name] = np.array([name in row.labels for name in manifest.classes], dtype=np.uint8)
        lines[row.name] = row.line
        for split in row.splits:
            splits.setdefault(split, []).append(row.name)
    splits = splits or _draw_splits(path, labels, sizes)
    if missing := [split for split in SPLITS if split not in splits]:
        raise UserError(f"{path}: no row of the split {missing[0]}: got {', '.join(splits)}, expected all three")
    return ImageIndex(
        root, manifest.classes, {split: _list_images(names, labels, path, lines) for split, names in splits.items()}
    )


def _draw_splits(source: Path, labels: dict[str, NDArray[np.uint8]], sizes: SplitSizes) -> dict[Split, list[str]]:
    if sizes.queries >= len(labels):
        raise UserError(
            f"{source}: too few images: got {len(labels)}, expected more than the {sizes.queries} queries; "
            "set the option queries to a smaller number"
        )
    queries = draw_uniform(labels, "query", sizes.queries)
    rest = hash_order(labels.keys() - {*queries}, "database")
    count = len(rest) if sizes.training is None else sizes.training
    if count > len(rest):
        raise UserError(
            f"{source}: too few images: got a database of {len(rest)}, expected {count} training rows in it; "
            "set the option training to a smaller number"
        )
    return {
        "train": draw_uniform({name: labels[name] for name in rest}, "train", count),
        "query": queries,
        "database": rest,
    }


def _list_images(
    names: list[str], labels: dict[str, NDArray[np.uint8]], source: Path, lines: dict[str, int] | None = None
) -> ListedImages:
    row_lines = None if lines is None else [lines[name] for name in names]
    return ListedImages(tuple(names), np.stack([labels[name] for name in names]), source, row_lines)


def _class_folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _image_names(folder: Path) -> Iterator[str]:
    """Yield the names of the image files of a class; raises UserError if there are none, or if there is a folder."""
    found = False
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            raise UserError(f"{path}: a folder inside a class folder: expected images; use a manifest for nested ones")
        if path.suffix.lower() in SUFFIXES:
            found = True
            yield path.name
    if not found:
        raise UserError(f"{folder}: a class without images: expected files named {', '.join(sorted(SUFFIXES))}")
