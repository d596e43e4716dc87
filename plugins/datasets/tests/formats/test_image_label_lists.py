"""The published list format; the published lists themselves where they are at hand."""

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
    read_listing,
)
from retbench_datasets.formats.text_file import write_text

from retbench import UserError


@pytest.fixture
def folder(tmp_path: Path, lists: Callable[..., None]) -> Path:
    lists(tmp_path, "train", ["c.jpg", "c.jpg"], [[1, 0], [1, 0]])
    lists(tmp_path, "test", ["a.jpg", "b.jpg"], [[0, 1], [0, 0]])
    lists(tmp_path, "database", ["c.jpg", "d.jpg"], [[1, 0], [1, 1]])
    return tmp_path


def test_a_class_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("sky\nsea\nsky\n")
    with pytest.raises(UserError, match=r"classes.txt:3: a class is listed twice: got 'sky', as on line 1"):
        read_classes(tmp_path / "classes.txt")


def test_what_is_not_there_is_listed(folder: Path) -> None:
    assert missing_lists(folder) == []
    (folder / "test_label.txt").unlink()
    assert missing_lists(folder) == ["test_label.txt"]
    assert len(missing_lists(folder / "nowhere")) == 6


def test_half_a_split_is_refused_where_whole_ones_are_asked_for(folder: Path) -> None:
    assert list(complete_splits(folder)) == ["train", "query", "database"]
    (folder / "test_label.txt").unlink()
    with pytest.raises(UserError, match=r"test_label.txt: no such file, but test_img.txt is there"):
        list(complete_splits(folder))


def test_a_written_split_is_read_back(tmp_path: Path) -> None:
    labels = np.array([[1, 0, 1], [0, 0, 0]], dtype=np.uint8)
    for path, text in zip(list_paths(tmp_path, "query"), format_lists(["a.jpg", "b c.jpg"], labels), strict=True):
        write_text(path, text)
    listing = read_listing(tmp_path, "query", 3)
    assert listing.names == ("a.jpg", "b c.jpg")
    assert np.array_equal(listing.labels, labels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test_img.txt", "test_label.txt"]
