"""A cross-modal edition: lists and texts in a folder of their own, written by the user or built from a source."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from retbench import SPLITS, Split, UserError
from retbench_datasets.editions.bert import bert_missing, bert_steps
from retbench_datasets.editions.crossmodal_source import CrossmodalSource
from retbench_datasets.editions.crossmodal_splits import edition_files, order_rows, split_rows, write_edition
from retbench_datasets.editions.edition import Edition, format_steps, size_caveats
from retbench_datasets.editions.prepared_record import PreparedRecord
from retbench_datasets.editions.text_encoding import encoder_folder
from retbench_datasets.editions.text_table import TextTable, read_text_tables, text_table_path
from retbench_datasets.formats.file_state import file_digest
from retbench_datasets.formats.image_label_lists import list_paths
from retbench_datasets.images.image_index import ImageIndex, read_index

DRAWN_CAVEAT = "splits were drawn by retbench (sha256 of the paths): the published splits are not known"


@dataclass(frozen=True)
class CrossmodalEdition(Edition):
    """Splits from nine files below the dataset's folder: `crossmodal/{train,test,database}_*`.

    The lists are in the published format, with paths relative to the dataset's folder; `*_text.npy` has one row per
    line, uint8 or float32 (N, T).

    Attributes:
        root: the dataset's folder.
        source: the source that the files are built from.
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
        if missing := self._missing_files():
            rest = "" if len(missing) == len(edition_files(self.folder)) else "; the other files exist"
            return f"{self.folder}: missing: {', '.join(missing)}{rest}. To get it: {self._remaining_steps()}"
        if (problem := self.index().missing_image()) is not None:
            return f"{problem}. To get the images: {self._all_steps()}"
        return None

    def prepare(self) -> Iterator[str]:
        if not self._missing_files():
            yield f"{self.folder}: all lists and texts exist"
            return
        self._refuse_foreign_files()
        if (problem := self._missing_source()) is not None:
            yield f"{self.folder}: nothing was built: {problem}"
            return
        draft = self._make_draft_folder()
        order, sizes = self.source.row_order(self.root), self.source.sizes
        pairs = yield from self.source.read(self.root, draft)
        rows = split_rows(order_rows(pairs.names, order, sizes["query"]), sizes, self.root)
        record = {"rows": order, "remarks": self.source.remarks, "found": pairs.remarks}
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
        """Yield the caveats that `prepare` recorded, for files that nobody has replaced since."""
        record = PreparedRecord(self.folder).read()
        own_lists = not self._foreign_files(path for split in SPLITS for path in list_paths(self.folder, split))
        own_texts = not self._foreign_files(text_table_path(self.folder, split) for split in SPLITS)
        if own_lists and record.get("rows") == "drawn":
            yield DRAWN_CAVEAT
        if own_texts:
            yield from record.get("remarks", ())
        if own_lists or own_texts:
            yield from record.get("found", ())

    def _foreign_files(self, paths: Iterable[Path]) -> list[Path]:
        """Return the files that retbench did not write, or that were changed since."""
        written = PreparedRecord(self.folder).read().get("files", {})
        return [path for path in paths if path.name not in written or file_digest(path) != written[path.name]]

    def _refuse_foreign_files(self) -> None:
        existing = [path for path in edition_files(self.folder) if path.is_file()]
        if foreign := self._foreign_files(existing):
            raise UserError(
                f"{foreign[0]}: retbench did not write this file and would have to replace it: got {len(existing)} of "
                "nine files, expected all or none; add the missing files, or move the existing ones away"
            )

    def _missing_files(self) -> list[str]:
        return [path.name for path in edition_files(self.folder) if not path.is_file()]

    def _missing_source(self) -> str | None:
        """Return the files or weights that the source lacks, or None if it can be read."""
        if missing := [path for path in self.source.required_files(self.root) if not path.is_file()]:
            return f"missing: {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else "")
        return bert_missing(encoder_folder()) if self.source.needs_bert else None

    def _remaining_steps(self) -> str:
        """Return the instructions that remain, given the existing files."""
        if not self.source.is_complete(self.root):
            return self._all_steps()
        return format_steps(self._build_steps())

    def _all_steps(self) -> str:
        """Return all instructions, from the download on."""
        steps = [*self.source.download_steps(self.root), *self._build_steps()]
        instructions = f"{format_steps(steps)}. {self.source.license}"
        if (alternative := self.source.alternative_step(self.root)) is None:
            return instructions
        return f"{instructions} Alternatively, instead of steps (1) to ({len(steps) - 1}), {alternative}"

    def _build_steps(self) -> tuple[str, ...]:
        needs_encoder = self.source.needs_bert and bert_missing(encoder_folder()) is not None
        return (
            *(bert_steps(encoder_folder()) if needs_encoder else ()),
            f"run `retbench datasets prepare {self.command}`",
        )

    def _make_draft_folder(self) -> Path:
        draft = self.folder / "draft"
        try:
            draft.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{draft}: the folder cannot be created: {error.strerror}") from None
        return draft
