"""MIRFLICKR's annotations and tags."""

from __future__ import annotations

from pathlib import Path

import pytest
from retbench_datasets.formats.mirflickr import annotation_paths, read_annotations, read_tags, read_vocabulary

from retbench import UserError


def test_labels_come_from_the_annotation_file_of_each_class(tmp_path: Path) -> None:
    first, second = annotation_paths(tmp_path, ["sky", "sea"])
    first.parent.mkdir()
    first.write_text("1\r\n25000\r\n")
    second.write_text("25000\n")
    labels = read_annotations([first, second])
    assert labels.shape == (25_000, 2)
    assert labels[0].tolist() == [1, 0]
    assert labels[-1].tolist() == [1, 1]
    assert labels.sum() == 3


def test_the_vocabulary_keeps_the_file_order_and_ignores_the_counts(tmp_path: Path) -> None:
    path = tmp_path / "common_tags.txt"
    path.write_text("explore 1483\nsky 845\r\nnikon 652\n")
    assert read_vocabulary(path, 3) == {"explore": 0, "sky": 1, "nikon": 2}


def test_a_wrong_vocabulary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "common_tags.txt"
    path.write_text("explore 1483\nsky 845\n")
    with pytest.raises(UserError, match=r"common_tags.txt: wrong number of common tags: got 2, expected 1386"):
        read_vocabulary(path, 1386)
    path.write_text("sky 845\nsky 845\n")
    with pytest.raises(UserError, match=r"common_tags.txt:2: a tag is listed twice: got 'sky'"):
        read_vocabulary(path, 2)


def test_an_image_may_have_tags_of_any_bytes_or_none(tmp_path: Path) -> None:
    folder = tmp_path / "mirflickr" / "meta" / "tags"
    folder.mkdir(parents=True)
    (folder / "tags7.txt").write_bytes(b"sky\r\nbl\xe5\r\nnew york\r\n")
    (folder / "tags8.txt").write_bytes(b"")
    assert {"sky", "new york"} < read_tags(tmp_path, 7)
    assert not read_tags(tmp_path, 8)
    with pytest.raises(UserError, match=r"tags9.txt: the tags cannot be read: No such file"):
        read_tags(tmp_path, 9)
