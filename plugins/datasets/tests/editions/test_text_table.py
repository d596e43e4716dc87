"""The texts of a split as a memory-mapped file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.editions.text_table import (
    BLOCK_ROWS,
    TextTable,
    digest_text_tables,
    read_text_tables,
    text_table_path,
    write_text_table,
)
from retbench_datasets.formats.listed_images import ListedImages
from retbench_datasets.images.image_index import ImageIndex

from retbench import SPLITS, UserError


@pytest.fixture
def index(tmp_path: Path) -> ImageIndex:
    """Return an index of four training rows, two queries and five database rows, with texts of length 3 on disk."""
    splits = {}
    for split, count in zip(SPLITS, (4, 2, 5), strict=True):
        names = tuple(f"{split}/{row}.jpg" for row in range(count))
        splits[split] = ListedImages(names, np.ones((count, 1), dtype=np.uint8), tmp_path / f"{split}_img.txt", None)
        np.save(text_table_path(tmp_path, split), np.arange(3 * count, dtype=np.float32).reshape(count, 3))
    return ImageIndex(tmp_path, ("x",), splits)


def test_rows_are_returned_as_floats_in_the_requested_order(tmp_path: Path, index: ImageIndex) -> None:
    table = read_text_tables(tmp_path, index)["database"]
    assert table.rows([4, 0, 4]).tolist() == [[12, 13, 14], [0, 1, 2], [12, 13, 14]]
    assert table.rows(range(2)).dtype == np.float32
    assert table.rows([]).shape == (0, 3)
    with pytest.raises(IndexError):
        table.rows([5])


def test_uint8_texts_are_returned_as_floats(tmp_path: Path, index: ImageIndex) -> None:
    np.save(text_table_path(tmp_path, "query"), np.array([[0, 1, 255], [1, 0, 0]], dtype=np.uint8))
    assert read_text_tables(tmp_path, index)["query"].rows([0]).tolist() == [[0, 1, 255]]


def test_the_file_is_memory_mapped(tmp_path: Path, index: ImageIndex) -> None:
    assert isinstance(read_text_tables(tmp_path, index)["train"].values, np.memmap)


def test_writing_into_returned_texts_does_not_change_the_table(tmp_path: Path, index: ImageIndex) -> None:
    table = read_text_tables(tmp_path, index)["query"]
    table.rows([0])[:] = 7
    assert table.rows([0]).tolist() == [[0, 1, 2]]


def test_a_number_of_rows_unlike_the_list_is_refused(tmp_path: Path, index: ImageIndex) -> None:
    np.save(text_table_path(tmp_path, "query"), np.zeros((3, 3), dtype=np.float32))
    with pytest.raises(
        UserError, match=r"test_text.npy: it does not fit \S*query_img.txt: got 3 rows, expected 2, one per image"
    ):
        read_text_tables(tmp_path, index)


def test_texts_of_different_lengths_are_refused(tmp_path: Path, index: ImageIndex) -> None:
    np.save(text_table_path(tmp_path, "database"), np.zeros((5, 4), dtype=np.float32))
    with pytest.raises(
        UserError, match=r"database_text.npy: it does not fit train_text.npy: got texts of length 4, expected 3"
    ):
        read_text_tables(tmp_path, index)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_non_finite_number_is_reported_with_its_row(tmp_path: Path, index: ImageIndex, wrong: float) -> None:
    texts = np.ones((5, 3), dtype=np.float32)
    texts[3, 1] = wrong
    np.save(text_table_path(tmp_path, "database"), texts)
    table = read_text_tables(tmp_path, index)["database"]
    assert table.rows([0, 4]).all()
    with pytest.raises(UserError, match=rf"database_text.npy: row 4: a text must be finite: got {wrong}"):
        table.rows([4, 3])


@pytest.mark.parametrize(
    "texts", [np.zeros((2, 3)), np.zeros(2, dtype=np.float32), np.zeros((2, 3, 1), dtype=np.uint8)]
)
def test_an_array_that_is_no_table_of_texts_is_refused(tmp_path: Path, index: ImageIndex, texts: np.ndarray) -> None:
    np.save(text_table_path(tmp_path, "query"), texts)
    with pytest.raises(UserError, match=r"test_text.npy: it is no table of texts: got \w+ \(2,.*expected uint8 or"):
        read_text_tables(tmp_path, index)


def test_a_file_that_holds_no_numbers_is_refused(tmp_path: Path, index: ImageIndex) -> None:
    path = text_table_path(tmp_path, "train")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"train_text.npy: it is not a NumPy file of numbers"):
        read_text_tables(tmp_path, index)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"train_text.npy: it is not a NumPy file of numbers"):
        read_text_tables(tmp_path, index)
    np.save(path, np.array([{"a": 1}] * 4), allow_pickle=True)
    with pytest.raises(UserError, match=r"train_text.npy: it is not a NumPy file of numbers"):
        read_text_tables(tmp_path, index)
    path.unlink()
    with pytest.raises(UserError, match=r"train_text.npy: the texts cannot be read: No such file"):
        read_text_tables(tmp_path, index)


def test_the_digest_depends_on_every_byte(tmp_path: Path, index: ImageIndex) -> None:
    before = digest_text_tables(read_text_tables(tmp_path, index))
    assert before == digest_text_tables(read_text_tables(tmp_path, index))
    path = text_table_path(tmp_path, "query")
    texts = np.load(path)
    texts[1, 2] += 1
    np.save(path, texts)
    os.utime(path, ns=(1, 1))  # the same size, and perhaps the same instant of a coarse clock
    assert digest_text_tables(read_text_tables(tmp_path, index)) != before


def test_rows_are_written_unchanged_over_several_blocks(tmp_path: Path) -> None:
    texts = np.random.default_rng(0).integers(0, 256, (2 * BLOCK_ROWS + 5, 2), dtype=np.uint8)
    rows = np.random.default_rng(1).permutation(len(texts))
    write_text_table(tmp_path / "a.npy", texts, rows, [str(row) for row in range(len(texts))])
    written = np.load(tmp_path / "a.npy")
    assert written.dtype == np.uint8
    assert np.array_equal(written, texts[rows])
    assert np.array_equal(TextTable(tmp_path / "a.npy", written).rows([0]), texts[rows[:1]])


def test_a_non_finite_text_is_reported_with_its_image(tmp_path: Path) -> None:
    texts = np.zeros((4, 2), dtype=np.float32)
    texts[1, 0] = np.nan
    write_text_table(tmp_path / "a.npy", texts, np.array([3, 0]), ["a", "b", "c", "d"])
    with pytest.raises(UserError, match="b: its text, row 1, must be finite: got nan"):
        write_text_table(tmp_path / "a.npy", texts, np.array([3, 1]), ["a", "b", "c", "d"])
