"""Data sets of the literature: their published lists, or lists built from the original downloads."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from retbench import Facts
from retbench_datasets.list_files import absent_lists, list_paths, listed_splits, read_index, write_text
from retbench_datasets.listings import SPLITS, Index, Split
from retbench_datasets.picture_files import PictureFiles
from retbench_datasets.split_draws import draw_any, draw_balanced
from retbench_datasets.split_lists import Built, Origin, Originals, build_splits, write_splits

TOLD: dict[Origin, Callable[[str], str]] = {
    "drawn": lambda splits: f"{splits} rows were drawn by retbench (sha256 of the paths): not the published split",
    "rebuilt": lambda splits: (
        f"{splits} rows were rebuilt by retbench (every labelled picture but the queries): the "
        "published order is not known, and matters to ties only"
    ),
}


class PublishedSplits(PictureFiles):
    """A data set with a published split, read from lists in `data_root()/<name>`.

    Class attributes a data set sets:
        published_classes: names of the label columns, in the order of the published lists.
        published_sizes: rows of each split. Source: RetPur, Table 5.
        licence: who may do what with the pictures.
        balanced: whether query and training rows are drawn for one class after the other, where no list is published.
    """

    upright: ClassVar[bool] = False  # as in the published loaders
    published_classes: ClassVar[tuple[str, ...]]
    published_sizes: ClassVar[Mapping[Split, int]]
    licence: ClassVar[str]
    balanced: ClassVar[bool] = False

    edition: Literal["unimodal"] = Field("unimodal", description="which of the published splits: of RetPur's Table 5")

    @abstractmethod
    def steps(self) -> str:
        """Returns the steps before `retbench datasets prepare`: what to get where, and where to put it."""

    @abstractmethod
    def label_files(self) -> tuple[Path, ...]:
        """Returns the files of the original download that the lists are built from."""

    @abstractmethod
    def originals(self) -> Originals:
        """Returns every picture that may be in a split, in the database's order; raises UserError naming file:line."""

    def index(self) -> Index:
        return read_index(self.root, self.published_classes)

    def missing(self) -> str | None:
        if absent := absent_lists(self.root):
            there = "" if len(absent) == 2 * len(SPLITS) else "; the other lists are there"
            ready = all(path.is_file() for path in self.label_files())
            steps = f"run `retbench datasets prepare {self.name}`" if ready else self._how()
            return f"{self.root}: not there: {', '.join(absent)}{there}. To get it: {steps}"
        if (problem := self.index().absent()) is not None:
            return f"{problem}. To get the pictures: {self._how()}"
        return None

    def prepare(self) -> Iterator[str]:
        """Yields what was done: builds the lists that are missing from the original label files.

        Raises:
            UserError: a label file, or a list that is there, is malformed, or they contradict each other.
        """
        there = list(listed_splits(self.root)) if self.root.is_dir() else []
        if len(there) == len(SPLITS):
            yield f"{self.root}: all lists are there"
            return
        if lost := [path for path in self.label_files() if not path.is_file()]:
            more = f" and {len(lost) - 1} more" if lost[1:] else ""
            yield f"{self.root}: no list was built: not there: {lost[0]}{more}"
            return
        draw = draw_balanced if self.balanced else draw_any
        built = build_splits(self.root, self.originals(), self.published_sizes, draw)
        yield from built.remarks
        self._record(built)
        yield from write_splits(self.root, built)

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        """Returns in which way the splits are not the published ones: other sizes, drawn or rebuilt lists."""
        told = []
        for split, expected in self.published_sizes.items():
            if (got := facts.sizes[split]) != expected:
                named = "training" if split == "train" else split
                told.append(f"expected {expected} {named} rows, got {got}: not the published split")
        for origin, sentence in TOLD.items():
            if splits := [split for split in SPLITS if self._origin(split) == origin]:
                told.append(sentence(", ".join(splits)))
        return tuple(told)

    def _how(self) -> str:
        build = f"(4) run `retbench datasets prepare {self.name}`, which builds the lists that are not there"
        return f"{self.steps()}; {build}. {self.licence}"

    def _record(self, built: Built) -> None:
        """Writes, before the lists, which of them retbench makes; a list that is replaced later no longer counts."""
        record = self._recorded()
        for split, texts in built.texts.items():
            record[split] = {"origin": built.origins[split], "sha256": _digest(text.encode() for text in texts)}
        write_text(self._record_path, json.dumps(record, indent=2, sort_keys=True) + "\n")

    def _origin(self, split: Split) -> Origin | None:
        entry = self._recorded().get(split)
        files = (path.read_bytes() for path in list_paths(self.root, split))
        return entry["origin"] if entry and entry["sha256"] == _digest(files) else None

    def _recorded(self) -> dict[str, Any]:
        return json.loads(self._record_path.read_text(encoding="utf-8")) if self._record_path.is_file() else {}

    @property
    def _record_path(self) -> Path:
        return self.root / "prepared.json"


def _digest(contents: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(contents)).hexdigest()
