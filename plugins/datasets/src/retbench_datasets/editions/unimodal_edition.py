"""A unimodal edition: published lists of images and labels, or lists built from the original download."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from retbench import SPLITS, Split
from retbench_datasets.editions.edition import Edition, format_steps, size_caveats
from retbench_datasets.editions.prepared_record import PreparedRecord
from retbench_datasets.editions.text_table import TextTable
from retbench_datasets.editions.unimodal_splits import BuiltSplits, Draw, SplitOrigin, build_splits, write_lists
from retbench_datasets.formats.image_label_lists import complete_splits, list_paths, missing_lists
from retbench_datasets.formats.label_matrix import LabeledImages
from retbench_datasets.images.image_index import ImageIndex, read_index

ORIGIN_CAVEATS: dict[SplitOrigin, Callable[[str], str]] = {
    "drawn": lambda splits: f"{splits} rows were drawn by retbench (sha256 of the paths): not the published split",
    "rebuilt": lambda splits: (
        f"{splits} rows were rebuilt by retbench (every labeled image but the queries): the published order is not "
        "known, which affects ties only"
    ),
}


@dataclass(frozen=True)
class UnimodalEdition(Edition):
    """Splits from the six lists in the dataset's folder.

    Attributes:
        root: the folder.
        name: name of the dataset.
        classes: names of the label columns, in the order of the published lists.
        sizes: rows of each split.
        download_steps: the instructions before `retbench datasets prepare`.
        license: license of the images, as a sentence.
        label_files: the files that the lists are built from.
        labeled_images: reads those files: every image that may be in a split, in the order of the database.
        draw: draws queries and training rows if their lists are not published.
    """

    root: Path
    name: str
    classes: tuple[str, ...]
    sizes: Mapping[Split, int]
    download_steps: tuple[str, ...]
    license: str
    label_files: tuple[Path, ...]
    labeled_images: Callable[[], LabeledImages]
    draw: Draw

    def index(self) -> ImageIndex:
        return read_index(self.root, self.classes)

    def texts(self) -> Mapping[Split, TextTable]:
        return {}

    def missing(self) -> str | None:
        if missing := missing_lists(self.root):
            rest = "" if len(missing) == 2 * len(SPLITS) else "; the other lists exist"
            ready = all(path.is_file() for path in self.label_files)
            steps = f"run `retbench datasets prepare {self.name}`" if ready else self._all_steps()
            return f"{self.root}: missing: {', '.join(missing)}{rest}. To get it: {steps}"
        if (problem := self.index().missing_image()) is not None:
            return f"{problem}. To get the images: {self._all_steps()}"
        return None

    def prepare(self) -> Iterator[str]:
        complete = list(complete_splits(self.root)) if self.root.is_dir() else []
        if len(complete) == len(SPLITS):
            yield f"{self.root}: all lists exist"
            return
        if missing := [path for path in self.label_files if not path.is_file()]:
            more = f" and {len(missing) - 1} more" if missing[1:] else ""
            yield f"{self.root}: no list was built: missing: {missing[0]}{more}"
            return
        built = build_splits(self.root, self.labeled_images(), self.sizes, self.draw)
        yield from built.remarks
        self._record(built)
        yield from write_lists(self.root, built)

    def caveats(self, sizes: Mapping[Split, int]) -> tuple[str, ...]:
        caveats = [*size_caveats(self.sizes, sizes)]
        for origin, format_caveat in ORIGIN_CAVEATS.items():
            if splits := [split for split in SPLITS if self._origin(split) == origin]:
                caveats.append(format_caveat(", ".join(splits)))
        return tuple(caveats)

    def _all_steps(self) -> str:
        build = f"run `retbench datasets prepare {self.name}`, which builds the missing lists"
        return f"{format_steps([*self.download_steps, build])}. {self.license}"

    def _record(self, built: BuiltSplits) -> None:
        """Record origin and digest of the new lists, before they are written; a list that is replaced later differs."""
        record = PreparedRecord(self.root).read()
        for split, texts in built.texts.items():
            record[split] = {"origin": built.origins[split], "sha256": _digest(text.encode() for text in texts)}
        PreparedRecord(self.root).write(record)

    def _origin(self, split: Split) -> SplitOrigin | None:
        entry = PreparedRecord(self.root).read().get(split)
        files = (path.read_bytes() for path in list_paths(self.root, split))
        return entry["origin"] if entry and entry["sha256"] == _digest(files) else None


def _digest(contents: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(contents)).hexdigest()
