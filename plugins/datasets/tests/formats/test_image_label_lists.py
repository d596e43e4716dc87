"""The published format of lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.formats.image_label_lists import (
    complete_splits,
    format_lists,
    list_paths,
    missing_lists,
    read_classes,
    read_split,
)
from retbench_datasets.formats.text_file import write_text

from retbench import UserError


@pytest.fixture
def folder(tmp_path: Path, make_lists: Callable[..., None]) -> Path:
    make_lists(tmp_path, "train", ["c.jpg", "c.jpg"], [[1, 0], [1, 0]])
    make_lists(tmp_path, "test", ["a.jpg", "b.jpg"], [[0, 1], [0, 0]])
    make_lists(tmp_path, "database", ["c.jpg", "d.jpg"], [[1, 0], [1, 1]])
    return tmp_path


def test_a_repeated_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("sky\nsea\nsky\n")
    with pytest.raises(UserError, match=r"classes.txt:3: a class is listed twice: got 'sky', as on line 1"):
        read_classes(tmp_path / "classes.txt")


def test_missing_lists_are_returned(folder: Path) -> None:
    assert missing_lists(folder) == []
    (folder / "test_label.txt").unlink()
    assert missing_lists(folder) == ["test_label.txt"]
    assert len(missing_lists(folder / "absent")) == 6


def test_complete_splits_refuses_an_incomplete_split(folder: Path) -> None:
    assert list(complete_splits(folder)) == ["train", "query", "database"]
    (folder / "test_label.txt").unlink()
    with pytest.raises(UserError, match=r"test_label.txt: no such file, but test_img.txt exists"):
        list(complete_splits(folder))


def test_a_written_split_is_read_back(tmp_path: Path) -> None:
    labels = np.array([[1, 0, 1], [0, 0, 0]], dtype=np.uint8)
    for path, text in zip(list_paths(tmp_path, "query"), format_lists(["a.jpg", "b c.jpg"], labels), strict=True):
        write_text(path, text)
    listed = read_split(tmp_path, "query", 3)
    assert listed.names == ("a.jpg", "b c.jpg")
    assert np.array_equal(listed.labels, labels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test_img.txt", "test_label.txt"]
