"""Label matrices in text files."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.formats.label_matrix import read_label_matrix

from retbench import UserError


def write_labels(folder: Path, text: str) -> Path:
    path = folder / "test_label.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", ["1 0 1\n0 0 0\n", "1 0 1 \n0 0 0 \n", "1\t0 1\r\n0  0 0\r\n\n\n", "1 0 1\n0 0 0"])
def test_spaces_and_line_ends_are_ignored(tmp_path: Path, text: str) -> None:
    table = read_label_matrix(write_labels(tmp_path, text), 3)
    assert table.dtype == np.uint8
    assert table.tolist() == [[1, 0, 1], [0, 0, 0]]
    assert np.array_equal(read_label_matrix(tmp_path / "test_label.txt"), table)


def test_one_column_and_one_row_are_read_as_tables(tmp_path: Path) -> None:
    assert read_label_matrix(write_labels(tmp_path, "1\n0\n1\n"), 1).tolist() == [[1], [0], [1]]
    assert read_label_matrix(write_labels(tmp_path, "1 0 1\n"), 3).tolist() == [[1, 0, 1]]


@pytest.mark.parametrize(
    ("text", "columns", "problem"),
    [
        ("1 0\n1 2\n", 2, r"test_label.txt:2: a label must be 0 or 1: got '2'"),
        ("1 0\n1 x\n", 2, r"test_label.txt:2: a label must be 0 or 1: got 'x'"),
        ("1 0\n10\n", 2, r"test_label.txt:2: a label must be 0 or 1: got '10'"),
        ("1 0\n1 -1\n", None, r"test_label.txt:2: a label must be 0 or 1: got '-1'"),
        ("1 0\n1 # 1\n", None, r"test_label.txt:2: a label must be 0 or 1: got '#'"),
        ("1 0\n1 0 0\n", 2, r"test_label.txt:2: wrong number of labels: got 3, expected 2"),
        ("1 0\n1 0\n1\n", None, r"test_label.txt:3: wrong number of labels: got 1, expected 2"),
        ("1 0\n1 0\n", 3, r"test_label.txt:1: wrong number of labels: got 2, expected 3"),
        ("1 0\n\n1 0\n", 2, r"test_label.txt:2: an empty line"),
        ("\n1 0\n", 2, r"test_label.txt:1: an empty line"),
        ("", 2, r"test_label.txt:1: an empty file"),
        ("\n \n", 2, r"test_label.txt:1: an empty file"),
    ],
)
def test_errors_are_reported_with_their_line(tmp_path: Path, text: str, columns: int | None, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        read_label_matrix(write_labels(tmp_path, text), columns)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent.txt: it cannot be read: No such file"):
        read_label_matrix(tmp_path / "absent.txt")


def test_bytes_that_are_not_utf_8_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"1 0\n\xff\n")
    with pytest.raises(UserError, match=r"a.txt: it is not UTF-8: got byte 0xff at 4"):
        read_label_matrix(tmp_path / "a.txt")


def test_a_table_of_the_size_of_nuswide_is_read_within_seconds(tmp_path: Path) -> None:
    expected = np.random.default_rng(0).integers(0, 2, (193_734, 21), dtype=np.uint8)
    text = np.full((len(expected), 43), ord(" "), dtype=np.uint8)
    text[:, :42:2] = expected + ord("0")
    text[:, 42] = ord("\n")
    path = write_labels(tmp_path, text.tobytes().decode())
    started = time.perf_counter()
    assert np.array_equal(read_label_matrix(path, 21), expected)
    assert time.perf_counter() - started < 5
