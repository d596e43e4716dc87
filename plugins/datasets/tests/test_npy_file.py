"""NumPy's files of one array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.npy_file import ONLY, NpyFile

from retbench import UserError


@pytest.mark.parametrize("axis", [0, 1])
def test_blocks_along_either_axis_make_up_the_array(tmp_path: Path, axis: int) -> None:
    values = np.arange(35, dtype=np.float32).reshape(5, 7)
    np.save(tmp_path / "tags.npy", values)
    arrays = NpyFile(tmp_path / "tags.npy")
    assert arrays.shapes == {ONLY: (5, 7)}
    blocks = [block.items for block in arrays.walk(ONLY, axis, limit=60)]
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate(blocks, axis), values)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tags.npy: it cannot be read: "):
        NpyFile(tmp_path / "tags.npy")
