"""The state of a file on disk."""

from __future__ import annotations

import os
import time
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


def test_the_state_changes_with_the_content_even_if_size_and_time_are_restored(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    before, times = read_file_state(path), path.stat()
    time.sleep(0.02)  # more than the resolution of the times of a file system
    path.write_text("two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert read_file_state(path) != before
