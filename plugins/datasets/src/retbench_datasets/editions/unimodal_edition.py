"""A uni-modal edition: published lists of images and labels, or lists built from the original download."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from retbench import SPLITS, Split
from retbench_datasets.editions.edition import Edition, size_caveats
from retbench_datasets.editions.prepared_record import PreparedRecord
from retbench_datasets.editions.text_table import TextTable
from retbench_datasets.editions.unimodal_splits import BuiltSplits, Draw, Origin, build_splits, write_lists
from retbench_datasets.formats.image_label_lists import complete_splits, list_paths, missing_lists
from retbench_datasets.formats.label_matrix import LabeledImages
from retbench_datasets.images.image_index import ImageIndex, read_index

ORIGIN_CAVEATS: dict[Origin, Callable[[str], str]] = {
    "drawn": lambda splits: f"{splits} rows were drawn by retbench (sha256 of the paths): not the published split",
    "rebuilt": lambda splits: (
        f"{splits} rows were rebuilt by retbench (every labeled picture but the queries): the "
        "published order is not known, and matters to ties only"
    ),
}


@dataclass(frozen=True)
class UnimodalEdition(Edition):
    """Splits that six lists in the dataset's folder name.

    Attributes:
        root: the folder.
        name: the dataset's.
        classes: names of the label columns, in the order of the published lists.
        sizes: rows of each split.
        steps: the steps before `retbench datasets prepare`.
        license: who may do what with the images.
        label_files: what the lists are built from.
        labeled_images: reads those: every image that may be in a split, in the database's order.
        draw: picks queries and training rows where no list is published.
    """

    root: Path
    name: str
    classes: tuple[str, ...]
    sizes: Mapping[Split, int]
    steps: str
    license: str
    label_files: tuple[Path, ...]
    labeled_images: Callable[[], LabeledImages]
    draw: Draw

    def index(self) -> ImageIndex:
        return read_index(self.root, self.classes)

    def texts(self) -> Mapping[Split, TextTable]:
        return {}

    def missing(self) -> str | None:
        if absent := missing_lists(self.root):
            there = "" if len(absent) == 2 * len(SPLITS) else "; the other lists are there"
            ready = all(path.is_file() for path in self.label_files)
            steps = f"run `retbench datasets prepare {self.name}`" if ready else self._how()
            return f"{self.root}: not there: {', '.join(absent)}{there}. To get it: {steps}"
        if (problem := self.index().missing_image()) is not None:
            return f"{problem}. To get the pictures: {self._how()}"
        return None

    def prepare(self) -> Iterator[str]:
        there = list(complete_splits(self.root)) if self.root.is_dir() else []
        if len(there) == len(SPLITS):
            yield f"{self.root}: all lists are there"
            return
        if lost := [path for path in self.label_files if not path.is_file()]:
            more = f" and {len(lost) - 1} more" if lost[1:] else ""
            yield f"{self.root}: no list was built: not there: {lost[0]}{more}"
            return
        built = build_splits(self.root, self.labeled_images(), self.sizes, self.draw)
        yield from built.remarks
        self._record(built)
        yield from write_lists(self.root, built)

    def caveats(self, sizes: Mapping[Split, int]) -> tuple[str, ...]:
        caveats = [*size_caveats(self.sizes, sizes)]
        for origin, sentence in ORIGIN_CAVEATS.items():
            if splits := [split for split in SPLITS if self._origin(split) == origin]:
                caveats.append(sentence(", ".join(splits)))
        return tuple(caveats)

    def _how(self) -> str:
        build = f"(4) run `retbench datasets prepare {self.name}`, which builds the lists that are not there"
        return f"{self.steps}; {build}. {self.license}"

    def _record(self, built: BuiltSplits) -> None:
        """Writes, before the lists, which of them retbench makes; a list that is replaced later no longer counts."""
        record = PreparedRecord(self.root).read()
        for split, texts in built.texts.items():
            record[split] = {"origin": built.origins[split], "sha256": _digest(text.encode() for text in texts)}
        PreparedRecord(self.root).write(record)

    def _origin(self, split: Split) -> Origin | None:
        entry = PreparedRecord(self.root).read().get(split)
        files = (path.read_bytes() for path in list_paths(self.root, split))
        return entry["origin"] if entry and entry["sha256"] == _digest(files) else None


def _digest(contents: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(contents)).hexdigest()
