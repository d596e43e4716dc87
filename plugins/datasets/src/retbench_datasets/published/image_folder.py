"""The user's own images: a folder for each class, or a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from retbench import SPLITS, Split, UserError, data_root
from retbench_datasets.editions.hash_sampling import draw_any, hash_order
from retbench_datasets.formats.file_stamp import Stamp, stamp
from retbench_datasets.formats.image_label_lists import read_classes
from retbench_datasets.formats.manifest import Manifest, read_manifest
from retbench_datasets.formats.split import Listing
from retbench_datasets.images.image_dataset import ImageDataset
from retbench_datasets.images.image_index import ImageIndex
from retbench_datasets.published.image_list import FOLDER_PATTERN

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
MANIFESTS = ("manifest.csv", "manifest.jsonl")


class Sizes(NamedTuple):
    """How many queries and training rows to draw; None for the whole database."""

    queries: int
    training: int | None


class ImageFolder(ImageDataset):
    """Pictures in a folder for each class, or wherever `manifest.csv` or `manifest.jsonl` says, under `data_root()`.

    A manifest has a path, labels and maybe a split for each picture; labels are names, or a 0 or 1 for each class;
    a split is `query` (or `test`), `database` or `train`, several joined by `;`. Where it names no split, and for a
    folder for each class, the queries are those whose `query/<path>` has the smallest sha256, the rest is the database
    and the training rows are those of the database whose `train/<path>` has the smallest. Rows are in hash order,
    because a database sorted by class would favor some queries where codes tie.
    """

    name: ClassVar[str] = "image-folder"
    source: ClassVar[str] = "the user's files"

    folder: str = Field(
        "image-folder", pattern=FOLDER_PATTERN, description="the folder's name under the root of the datasets"
    )
    queries: int = Field(100, ge=1, description="size of the query split, where no manifest names the splits")
    training: int | None = Field(
        None, ge=1, description="size of the training split, where no manifest names the splits; default: the database"
    )

    @property
    def root(self) -> Path:
        return data_root() / self.folder

    def index(self) -> ImageIndex:
        stamps = [stamp(self.root / name) for name in ("", "classes.txt", *MANIFESTS)]
        return _read_index(self.root, Sizes(self.queries, self.training), (*stamps, *map(stamp, _folders(self.root))))

    def missing(self) -> str | None:
        if not self.root.is_dir() or not any(self.root.iterdir()):
            return (
                f"{self.root}: there are no pictures. To get them: make a folder for each class there, or write "
                "manifest.csv with the columns path, labels (names joined by ;) and maybe split"
            )
        return self.index().missing_image()


@lru_cache(maxsize=8)
def _read_index(root: Path, sizes: Sizes, stamps: tuple[Stamp, ...]) -> ImageIndex:
    manifests = [root / name for name in MANIFESTS if (root / name).is_file()]
    if len(manifests) > 1:
        raise UserError(f"{root}: two manifests: got {' and '.join(MANIFESTS)}, expected one")
    if not manifests:
        return _index_folders(root, sizes)
    known = root / "classes.txt"
    manifest = read_manifest(manifests[0], read_classes(known) if known.is_file() else None)
    return _index_manifest(root, manifests[0], manifest, sizes)


def _index_folders(root: Path, sizes: Sizes) -> ImageIndex:
    classes = tuple(path.name for path in _folders(root))
    labels, one_hot = {}, np.eye(len(classes), dtype=np.uint8)
    for column, folder in enumerate(_folders(root)):
        for name in _pictures(folder):
            labels[f"{folder.name}/{name}"] = one_hot[column]
    splits = _draw_splits(root, labels, sizes)
    return ImageIndex(root, classes, {split: _listing(names, labels, root, None) for split, names in splits.items()})


def _index_manifest(root: Path, path: Path, manifest: Manifest, sizes: Sizes) -> ImageIndex:
    labels, lines, splits = {}, {}, dict[Split, list[str]]()
    for entry in manifest.entries:
        labels[entry.name] = np.array([name in entry.labels for name in manifest.classes], dtype=np.uint8)
        lines[entry.name] = entry.line
        for split in entry.splits:
            splits.setdefault(split, []).append(entry.name)
    splits = splits or _draw_splits(path, labels, sizes)
    if lost := [split for split in SPLITS if split not in splits]:
        raise UserError(f"{path}: no row is of the split {lost[0]}: got {', '.join(splits)}, expected all three")
    return ImageIndex(
        root, manifest.classes, {split: _listing(names, labels, path, lines) for split, names in splits.items()}
    )


def _draw_splits(place: Path, labels: dict[str, NDArray[np.uint8]], sizes: Sizes) -> dict[Split, list[str]]:
    if sizes.queries >= len(labels):
        raise UserError(f"{place}: too few pictures: got {len(labels)}, expected more than the {sizes.queries} queries")
    queries = draw_any(labels, "query", sizes.queries)
    rest = hash_order(labels.keys() - {*queries}, "database")
    count = len(rest) if sizes.training is None else sizes.training
    if count > len(rest):
        raise UserError(
            f"{place}: too few pictures: got a database of {len(rest)}, expected {count} training rows in it"
        )
    return {
        "train": draw_any({name: labels[name] for name in rest}, "train", count),
        "query": queries,
        "database": rest,
    }


def _listing(
    names: list[str], labels: dict[str, NDArray[np.uint8]], source: Path, lines: dict[str, int] | None
) -> Listing:
    places = None if lines is None else [lines[name] for name in names]
    return Listing(tuple(names), np.stack([labels[name] for name in names]), source, places)


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _pictures(folder: Path) -> Iterator[str]:
    """Yields the names of a class's pictures, other files passed over; raises UserError for none and for a folder."""
    found = False
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            raise UserError(f"{path}: a folder in a class's folder: expected pictures; write a manifest to nest them")
        if path.suffix.lower() in SUFFIXES:
            found = True
            yield path.name
    if not found:
        raise UserError(f"{folder}: a class without a picture: expected files named {', '.join(sorted(SUFFIXES))}")
