"""Blocks of an array."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from retbench_datasets.formats.array_file import ArrayFile
from retbench_datasets.formats.matlab_file import open_mat

from retbench import UserError


@contextmanager
def open_array(folder: Path, *shape: int) -> Iterator[ArrayFile]:
    """Open a file of version 7.3, which stores its axes in reverse order."""
    with h5py.File(folder / "array.mat", "w") as file:
        file["array"] = np.zeros(shape[::-1], dtype=np.float32)
    with open_mat(folder / "array.mat") as arrays:
        yield arrays


def test_a_block_holds_as_many_items_as_fit_the_limit_but_at_least_one(tmp_path: Path) -> None:
    with open_array(tmp_path, 10, 3) as arrays:
        found = [(rows.start, rows.stop) for rows in arrays.block_ranges("array", 0, limit=4 * 12)]
        assert found == [(0, 4), (4, 8), (8, 10)]
        assert [len(rows) for rows in arrays.block_ranges("array", 0, limit=11)] == [1] * 10
        assert [len(rows) for rows in arrays.block_ranges("array", 1, limit=80)] == [2, 1]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_an_empty_array_has_empty_blocks(tmp_path: Path, shape: tuple[int, int]) -> None:
    with open_array(tmp_path, *shape) as arrays:
        assert sum(block.items.size for block in arrays.read_blocks("array", 0)) == 0


def test_a_missing_array_is_refused(tmp_path: Path) -> None:
    with (
        open_array(tmp_path, 2, 2) as arrays,
        pytest.raises(UserError, match=r"array.mat: no such numeric array: got array, expected LAll"),
    ):
        list(arrays.block_ranges("LAll", 0))
