"""The state of a file on disk."""

from __future__ import annotations

import os
from pathlib import Path

from retbench_datasets.formats.file_state import read_file_state


def test_the_state_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    before = read_file_state(path)
    path.write_text("one")
    first = read_file_state(path)
    assert first == read_file_state(path) != before
    os.utime(path, ns=(1, 1))
    assert read_file_state(path) != first
