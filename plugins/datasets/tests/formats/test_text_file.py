"""Reading and writing of text files."""

from __future__ import annotations

from pathlib import Path

import pytest
from retbench_datasets.formats.text_file import read_lines, write_text

from retbench import UserError


def test_lines_are_stripped_of_spaces_byte_order_mark_and_empty_ends(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone \r\n two\n\n \n")
    assert read_lines(tmp_path / "a.txt") == ["one", "two"]


def test_an_empty_line_in_the_middle_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    with pytest.raises(UserError, match=r"a.txt:2: an empty line"):
        read_lines(tmp_path / "a.txt")


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(UserError, match=r"a\.txt: it cannot be written: Is a directory"):
        write_text(tmp_path / "a.txt", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
