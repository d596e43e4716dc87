"""The splits of a cross-modal edition: pairs cut into three, with the lists and texts that are written of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retbench import SPLITS, Split, UserError
from retbench_datasets.editions.crossmodal_source import Arrangement, ImageTextPairs
from retbench_datasets.editions.hash_sampling import hash_order
from retbench_datasets.editions.prepared_record import PreparedRecord
from retbench_datasets.editions.text_table import text_table_path, write_text_table
from retbench_datasets.formats.file_stamp import file_digest
from retbench_datasets.formats.image_label_lists import format_lists, list_paths
from retbench_datasets.formats.text_file import write_text

Rows = NDArray[np.int64]


def edition_files(folder: Path) -> tuple[Path, ...]:
    """Returns the nine files of a cross-modal edition: for each split pictures, labels and texts."""
    return tuple(path for split in SPLITS for path in (*list_paths(folder, split), text_table_path(folder, split)))


def arrange_rows(names: tuple[str, ...], arrangement: Arrangement, queries: int) -> Rows:
    """Returns int64 (N,), the rows in the order that they are cut in: by ascending sha256 of `crossmodal/<name>`.

    Args:
        names: the pictures, by row.
        arrangement: `official` puts the first `queries` rows before the others, `published` leaves all as they are.
        queries: how many there are.

    Raises:
        UserError: a picture comes twice.
    """
    row_of = {name: row for row, name in enumerate(names)}
    if len(row_of) != len(names):
        twice = next(name for row, name in enumerate(names) if row_of[name] != row)
        raise UserError(f"{twice}: the picture comes twice, with a text each: expected one text for each picture")
    if arrangement == "published":
        return np.arange(len(names))
    rows = np.array([row_of[name] for name in hash_order(names, "crossmodal")], dtype=np.int64)
    return rows if arrangement == "drawn" else rows[np.argsort(rows >= queries, kind="stable")]


def cut_rows(order: Rows, sizes: Mapping[Split, int], place: Path) -> dict[Split, Rows]:
    """Returns the rows of each split: queries, then the database, which begins with the training rows.

    Raises:
        UserError: there are fewer rows than the splits take, or more; `place` is where they come from.

    Source: the code of TA-DCH.
    """
    queries, database = sizes["query"], sizes["database"]
    if len(order) != queries + database:
        raise UserError(
            f"{place}: these are not the published pictures with labels and texts: got {len(order)}, expected "
            f"{queries + database}: {queries} queries and a database of {database}; for others, write the lists by hand"
        )
    rest = order[queries:]
    return {"train": rest[: sizes["train"]], "query": order[:queries], "database": rest}


def write_edition(
    folder: Path, draft: Path, pairs: ImageTextPairs, rows: Mapping[Split, Rows], record: Mapping[str, Any]
) -> Iterator[str]:
    """Yields a line for each split, after the nine files and the record of them are there.

    All nine are written in the folder `draft` before the first is moved, and their record before that: an interrupted
    call leaves nothing half written, and the next one knows what is its own.

    Args:
        folder: that of the edition.
        draft: one below it.
        pairs: pictures, labels and texts.
        rows: int64, those of each split.
        record: what else is to be remembered of them.

    Raises:
        UserError: a text is not finite.
    """
    for split, chosen in rows.items():
        write_text_table(text_table_path(draft, split), pairs.texts, chosen, pairs.names)
        texts = format_lists([pairs.names[row] for row in chosen.tolist()], pairs.labels[chosen])
        for path, text in zip(list_paths(draft, split), texts, strict=True):
            write_text(path, text)
    drafts = edition_files(draft)
    PreparedRecord(folder).write({**record, "files": {path.name: file_digest(path) for path in drafts}})
    for path in drafts:
        path.replace(folder / path.name)
    for split, chosen in rows.items():
        names = ", ".join(path.name for path in (*list_paths(folder, split), text_table_path(folder, split)))
        yield f"{folder}: {names}, {len(chosen)} rows"
