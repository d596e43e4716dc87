"""The texts of a split: a NumPy file with one row per image, memory-mapped and never read whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import SPLITS, Split, UserError
from retbench_datasets.formats.file_state import FileState, file_digest, read_file_state
from retbench_datasets.formats.image_label_lists import STEMS
from retbench_datasets.images.image_index import ImageIndex

BLOCK_ROWS = 4096
"""Rows that are copied and checked at once."""


class TextTable(NamedTuple):
    """The texts of a split.

    Attributes:
        path: the file.
        values: uint8 or float32 (N, T), mapped from the file.
    """

    path: Path
    values: NDArray[Any]

    def rows(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """Return float32 (B, T), the texts at `rows`, in their order.

        Raises:
            UserError: a number is not finite; names the first such row, counted from 1 like the lines of the lists.
            IndexError: there is no such row.
        """
        selected = np.asarray(rows, dtype=np.int64)
        texts = np.asarray(self.values[selected], dtype=np.float32)
        if (bad := _find_bad_row(texts)) is not None:
            value = _bad_value(texts[bad])
            raise UserError(f"{self.path}: row {selected[bad] + 1}: a text must be finite: got {value}")
        return texts


def text_table_path(folder: Path, split: Split) -> Path:
    """Return the file of a split's texts."""
    return folder / f"{STEMS[split]}_text.npy"


def read_text_tables(folder: Path, index: ImageIndex) -> dict[Split, TextTable]:
    """Return the texts of the three splits, cached while their files stay the same.

    Raises:
        UserError: a file is missing or no table of numbers, its number of rows is not that of the image list, or two
            files have different widths.
    """
    tables: dict[Split, TextTable] = {}
    for split in SPLITS:
        path, listed = text_table_path(folder, split), index.splits[split]
        table = tables[split] = TextTable(path, _open_table(read_file_state(path)))
        if len(table.values) != len(listed.names):
            raise UserError(
                f"{path}: it does not fit {listed.source}: got {len(table.values)} rows, "
                f"expected {len(listed.names)}, one per image"
            )
        if table.values.shape[1] != (width := tables["train"].values.shape[1]):
            raise UserError(
                f"{path}: it does not fit {tables['train'].path.name}: got texts of length {table.values.shape[1]}, "
                f"expected {width}"
            )
    return tables


def digest_text_tables(tables: Mapping[Split, TextTable]) -> str:
    """Return the sha256 of all texts, as hexadecimal digits; a file is read again when it has changed."""
    digests = (file_digest(tables[split].path) for split in SPLITS)
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def write_text_table(path: Path, texts: NDArray[Any], rows: NDArray[np.int64], names: Sequence[str]) -> None:
    """Write the texts at `rows`, block by block; an interruption leaves an incomplete file.

    Args:
        path: the file to write.
        texts: uint8 or float32 (N, T), may be mapped from a file.
        rows: int64, the rows to write, in order.
        names: the image of each row of `texts`, for the message.

    Raises:
        UserError: a number is not finite; names the image.
    """
    table = np.lib.format.open_memmap(path, mode="w+", dtype=texts.dtype, shape=(len(rows), texts.shape[1]))
    for start in range(0, len(rows), BLOCK_ROWS):
        chosen = rows[start : start + BLOCK_ROWS]
        block = texts[chosen]
        table[start : start + BLOCK_ROWS] = block
        if (bad := _find_bad_row(block)) is not None:
            row = int(chosen[bad])
            raise UserError(f"{names[row]}: its text, row {row}, must be finite: got {_bad_value(block[bad])}")
    table.flush()


def _find_bad_row(texts: NDArray[Any]) -> int | None:
    """Return the first row with a number that is not finite."""
    bad = np.flatnonzero(~np.isfinite(texts).all(axis=1))
    return int(bad[0]) if len(bad) else None


def _bad_value(text: NDArray[Any]) -> float:
    return float(text[~np.isfinite(text)][0])


@lru_cache(maxsize=32)
def _open_table(state: FileState) -> NDArray[Any]:
    path = state.path
    try:
        values: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise UserError(f"{path}: the texts cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise UserError(f"{path}: it is not a NumPy file of numbers: {error}") from None
    if values.ndim != 2 or values.dtype not in (np.uint8, np.float32):
        raise UserError(
            f"{path}: it is no table of texts: got {values.dtype} {values.shape}, expected uint8 or float32 with one "
            "row per image"
        )
    return values
