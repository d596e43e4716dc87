"""The texts of a split: a NumPy file with a row for each picture, mapped and never read whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import SPLITS, Split, UserError
from retbench_datasets.formats.file_stamp import Stamp, file_digest, stamp
from retbench_datasets.formats.image_label_lists import STEMS
from retbench_datasets.images.image_index import ImageIndex

BLOCK = 4096
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
        """Returns float32 (B, T), the texts at `rows`, in their order.

        Raises:
            UserError: a number is not finite; names the first such row, counted from 1 as lines are.
            IndexError: there is no such row.
        """
        wanted = np.asarray(rows, dtype=np.int64)
        texts = np.asarray(self.values[wanted], dtype=np.float32)
        if (broken := _broken(texts)) is not None:
            raise UserError(
                f"{self.path}: row {wanted[broken] + 1}: a text must be finite: got {_worst(texts[broken])}"
            )
        return texts


def text_table_path(folder: Path, split: Split) -> Path:
    """Returns the file of a split's texts."""
    return folder / f"{STEMS[split]}_text.npy"


def read_text_tables(folder: Path, index: ImageIndex) -> dict[Split, TextTable]:
    """Returns the texts of the three splits, remembered while the files stay.

    Raises:
        UserError: a file is not there or no table of numbers, has not a row for each picture, or two have other widths.
    """
    tables = {}
    for split in SPLITS:
        path, listing = text_table_path(folder, split), index.splits[split]
        values = tables[split] = TextTable(path, _open(stamp(path)))
        if len(values.values) != len(listing.names):
            raise UserError(
                f"{path}: it does not fit {listing.source}: got {len(values.values)} rows, "
                f"expected {len(listing.names)}, one a picture"
            )
        if values.values.shape[1] != (width := tables["train"].values.shape[1]):
            raise UserError(
                f"{path}: it does not fit {tables['train'].path.name}: got texts of length {values.values.shape[1]}, "
                f"expected {width}"
            )
    return tables


def digest_text_tables(tables: Mapping[Split, TextTable]) -> str:
    """Returns the sha256 of all texts, as hexadecimal digits; a file is read again when it has changed."""
    digests = (file_digest(tables[split].path) for split in SPLITS)
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def write_text_table(path: Path, texts: NDArray[Any], rows: NDArray[np.int64], names: Sequence[str]) -> None:
    """Writes the texts at `rows`, block by block.

    Args:
        path: a file that may be half written when this is interrupted.
        texts: uint8 or float32 (N, T), maybe mapped from a file.
        rows: int64, those to write, in order.
        names: the picture of each row of `texts`, to name one whose text is wrong.

    Raises:
        UserError: a number is not finite; names the picture.
    """
    table = np.lib.format.open_memmap(path, mode="w+", dtype=texts.dtype, shape=(len(rows), texts.shape[1]))
    for start in range(0, len(rows), BLOCK):
        chosen = rows[start : start + BLOCK]
        block = texts[chosen]
        table[start : start + BLOCK] = block
        if (broken := _broken(block)) is not None:
            row = int(chosen[broken])
            raise UserError(f"{names[row]}: its text, row {row}, must be finite: got {_worst(block[broken])}")
    table.flush()


def _broken(texts: NDArray[Any]) -> int | None:
    """Returns the first row with a number that is not finite."""
    broken = np.flatnonzero(~np.isfinite(texts).all(axis=1))
    return int(broken[0]) if len(broken) else None


def _worst(text: NDArray[Any]) -> float:
    return float(text[~np.isfinite(text)][0])


@lru_cache(maxsize=32)
def _open(stamped: Stamp) -> NDArray[Any]:
    path = stamped.path
    try:
        values: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise UserError(f"{path}: the texts cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise UserError(f"{path}: it is not a NumPy file of numbers: {error}") from None
    if values.ndim != 2 or values.dtype not in (np.uint8, np.float32):
        raise UserError(
            f"{path}: it is no table of texts: got {values.dtype} {values.shape}, expected uint8 or float32, a row for "
            "each picture"
        )
    return values
