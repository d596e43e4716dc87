"""Blocks of an array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.npy_file import ONLY, NpyFile

from retbench import UserError


def open_array(folder: Path, *shape: int) -> NpyFile:
    np.save(folder / "array.npy", np.zeros(shape, dtype=np.float32))
    return NpyFile(folder / "array.npy")


def test_a_block_holds_as_many_items_as_the_limit_allows_and_one_at_least(tmp_path: Path) -> None:
    arrays = open_array(tmp_path, 10, 3)
    assert [(rows.start, rows.stop) for rows in arrays.blocks(ONLY, 0, limit=4 * 12)] == [(0, 4), (4, 8), (8, 10)]
    assert [len(rows) for rows in arrays.blocks(ONLY, 0, limit=11)] == [1] * 10
    assert [len(rows) for rows in arrays.blocks(ONLY, 1, limit=80)] == [2, 1]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_an_empty_array_has_no_numbers_to_read(tmp_path: Path, shape: tuple[int, int]) -> None:
    arrays = open_array(tmp_path, *shape)
    assert sum(block.items.size for block in arrays.walk(ONLY, 0)) == 0


def test_an_array_that_is_not_there_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"array.npy: there is no such array of numbers: got array, expected LAll"):
        list(open_array(tmp_path, 2, 2).blocks("LAll", 0))
