"""The splits of a cross-modal edition: which pair belongs to which split, and the lists and texts on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retbench import SPLITS, Split, UserError
from retbench_datasets.editions.crossmodal_source import ImageTextPairs, RowOrder
from retbench_datasets.editions.hash_sampling import hash_order
from retbench_datasets.editions.prepared_record import PreparedRecord
from retbench_datasets.editions.text_table import text_table_path, write_text_table
from retbench_datasets.formats.file_state import file_digest
from retbench_datasets.formats.image_label_lists import format_lists, list_paths
from retbench_datasets.formats.text_file import write_text

Rows = NDArray[np.int64]


def edition_files(folder: Path) -> tuple[Path, ...]:
    """Return the nine files of a cross-modal edition: images, labels and texts of each split."""
    return tuple(path for split in SPLITS for path in (*list_paths(folder, split), text_table_path(folder, split)))


def order_rows(names: tuple[str, ...], order: RowOrder, queries: int) -> Rows:
    """Return int64 (N,), all rows by ascending sha256 of `crossmodal/<name>`, changed by `order`.

    Args:
        names: the images, by row.
        order: `official` puts the first `queries` rows before the others, `published` keeps the order of `names`.
        queries: number of official queries.

    Raises:
        UserError: an image is listed twice.
    """
    row_of = {name: row for row, name in enumerate(names)}
    if len(row_of) != len(names):
        twice = next(name for row, name in enumerate(names) if row_of[name] != row)
        raise UserError(f"{twice}: the image is listed twice, with different texts: expected one text per image")
    if order == "published":
        return np.arange(len(names))
    rows = np.array([row_of[name] for name in hash_order(names, "crossmodal")], dtype=np.int64)
    return rows if order == "drawn" else rows[np.argsort(rows >= queries, kind="stable")]


def split_rows(rows: Rows, sizes: Mapping[Split, int], location: Path) -> dict[Split, Rows]:
    """Return the rows of each split: first the queries, then the database, which begins with the training rows.

    Raises:
        UserError: the number of rows is not that of queries and database together; `location` is their source.

    Source: the code of TA-DCH.
    """
    queries, database = sizes["query"], sizes["database"]
    if len(rows) != queries + database:
        raise UserError(
            f"{location}: wrong number of images with labels and texts: got {len(rows)}, expected "
            f"{queries + database}: {queries} queries and a database of {database}; for another dataset, write the "
            "lists yourself"
        )
    rest = rows[queries:]
    return {"train": rest[: sizes["train"]], "query": rows[:queries], "database": rest}


def write_edition(
    folder: Path, draft: Path, pairs: ImageTextPairs, rows: Mapping[Split, Rows], record: Mapping[str, Any]
) -> Iterator[str]:
    """Write the nine files and their record, then yield a line for each split.

    All nine are written in the folder `draft` before the first is moved, and their record before that: an interrupted
    run leaves no incomplete file, and the next run recognizes the files that retbench wrote.

    Args:
        folder: the folder of the edition.
        draft: a folder below it.
        pairs: images, labels and texts.
        rows: int64, the rows of each split.
        record: further entries of the record.

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
