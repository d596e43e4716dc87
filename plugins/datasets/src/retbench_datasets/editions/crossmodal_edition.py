"""A cross-modal edition: lists and texts in a folder of their own, written by hand or built from a source."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from retbench import SPLITS, Split, UserError
from retbench_datasets.editions.crossmodal_source import CrossmodalSource
from retbench_datasets.editions.crossmodal_splits import arrange_rows, cut_rows, edition_files, write_edition
from retbench_datasets.editions.edition import Edition, size_caveats
from retbench_datasets.editions.prepared_record import PreparedRecord
from retbench_datasets.editions.text_table import TextTable, read_text_tables, text_table_path
from retbench_datasets.formats.file_stamp import file_digest
from retbench_datasets.formats.image_label_lists import list_paths
from retbench_datasets.images.image_index import ImageIndex, read_index

DRAWN_CAVEAT = "all rows were put in order by retbench (sha256 of the paths) and cut: the published order is not known"


@dataclass(frozen=True)
class CrossmodalEdition(Edition):
    """Splits that nine files below the dataset's folder hold: `crossmodal/{train,test,database}_*`.

    The lists are in the published format, their paths relative to the dataset's folder; `*_text.npy` holds a row for
    each line, uint8 or float32 (N, T).

    Attributes:
        root: the dataset's folder.
        source: what the files are built from.
        command: the arguments of `retbench datasets prepare`.
    """

    root: Path
    source: CrossmodalSource
    command: str

    @property
    def folder(self) -> Path:
        """The folder of the nine files."""
        return self.root / "crossmodal"

    def index(self) -> ImageIndex:
        return read_index(self.root, self.source.classes, self.folder)

    def texts(self) -> Mapping[Split, TextTable]:
        return read_text_tables(self.folder, self.index())

    def missing(self) -> str | None:
        if absent := self._missing_files():
            there = "" if len(absent) == len(edition_files(self.folder)) else "; the other files are there"
            return f"{self.folder}: not there: {', '.join(absent)}{there}. To get it: {self._next_step()}"
        if (problem := self.index().missing_image()) is not None:
            return f"{problem}. To get the pictures: {self._all_steps()}"
        return None

    def prepare(self) -> Iterator[str]:
        if not self._missing_files():
            yield f"{self.folder}: all lists and texts are there"
            return
        self._refuse_foreign_files()
        if (lost := self._missing_source()) is not None:
            yield f"{self.folder}: nothing was built: {lost}"
            return
        draft = self._make_draft()
        arrangement, sizes = self.source.arrangement(self.root), self.source.sizes
        pairs = yield from self.source.read(self.root, draft)
        rows = cut_rows(arrange_rows(pairs.names, arrangement, sizes["query"]), sizes, self.root)
        record = {"rows": arrangement, "remarks": self.source.remarks, "found": pairs.remarks}
        yield from write_edition(self.folder, draft, pairs, rows, record)
        shutil.rmtree(draft)

    def caveats(self, sizes: Mapping[Split, int]) -> tuple[str, ...]:
        caveats = [*size_caveats(self.source.sizes, sizes)]
        width, expected = self.texts()["query"].values.shape[1], self.source.text_width
        if width != expected:
            caveats.append(f"expected texts of length {expected}, got {width}: not the published texts")
        if (classes := len(self.index().classes)) != (expected := len(self.source.classes)):
            caveats.append(f"expected {expected} classes, got {classes}: not the published labels")
        return (*caveats, *self._recorded_caveats())

    def _recorded_caveats(self) -> Iterator[str]:
        """Yields what `prepare` wrote down of the files that nobody has replaced since."""
        record = PreparedRecord(self.folder).read()
        lists = not self._foreign(path for split in SPLITS for path in list_paths(self.folder, split))
        texts = not self._foreign(text_table_path(self.folder, split) for split in SPLITS)
        if lists and record.get("rows") == "drawn":
            yield DRAWN_CAVEAT
        if texts:
            yield from record.get("remarks", ())
        if lists or texts:
            yield from record.get("found", ())

    def _foreign(self, paths: Iterable[Path]) -> list[Path]:
        """Returns the files that are not as retbench wrote them."""
        written = PreparedRecord(self.folder).read().get("files", {})
        return [path for path in paths if path.name not in written or file_digest(path) != written[path.name]]

    def _refuse_foreign_files(self) -> None:
        there = [path for path in edition_files(self.folder) if path.is_file()]
        if foreign := self._foreign(there):
            raise UserError(
                f"{foreign[0]}: retbench did not write it, and would have to replace it: got {len(there)} of nine "
                "files, expected all, or none; complete them, or move them away"
            )

    def _missing_files(self) -> list[str]:
        return [path.name for path in edition_files(self.folder) if not path.is_file()]

    def _missing_source(self) -> str | None:
        """Returns the files or weights that the source lacks, or None where it can be read."""
        if lost := [path for path in self.source.files(self.root) if not path.is_file()]:
            return f"not there: {lost[0]}" + (f" and {len(lost) - 1} more" if lost[1:] else "")
        return self.source.encoder_missing()

    def _next_step(self) -> str:
        """Returns the steps that are left, given the files that are there."""
        if not self.source.complete(self.root):
            return self._all_steps()
        return f"{self._encoder()}run `retbench datasets prepare {self.command}`"

    def _all_steps(self) -> str:
        """Returns all steps, from the download on."""
        build = f"{self._encoder()}run `retbench datasets prepare {self.command}`"
        steps = f"{self.source.steps(self.root)}; then {build}. {self.source.license}"
        if (other := self.source.alternative(self.root)) is None:
            return steps
        aside = ", without BERT" if self.source.encoder_missing() else ""
        return f"{steps} Or, in place of all that{aside}, put {other}, and run the same"

    def _encoder(self) -> str:
        missing = self.source.encoder_missing()
        return f"{missing} Then " if missing else ""

    def _make_draft(self) -> Path:
        draft = self.folder / "draft"
        try:
            draft.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{draft}: it cannot be made: {error.strerror}") from None
        return draft
