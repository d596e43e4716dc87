"""What changes when a file does."""

from __future__ import annotations

import os
from pathlib import Path

from retbench_datasets.formats.file_stamp import stamp


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    absent = stamp(path)
    path.write_text("one")
    first = stamp(path)
    assert first == stamp(path) != absent
    os.utime(path, ns=(1, 1))
    assert stamp(path) != first
