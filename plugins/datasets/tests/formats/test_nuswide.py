"""NUS-WIDE's lists of images, concepts and tags."""

from __future__ import annotations

from pathlib import Path

import pytest
from retbench_datasets.formats.nuswide import concept_paths, read_concepts, stream_tags

from retbench import UserError


def test_all_images_are_returned_with_their_concepts(tmp_path: Path) -> None:
    image_list, sky, sea = concept_paths(tmp_path, ["sky", "sea"])
    for path, text in ((image_list, "actor\\0001_7.jpg\r\nzoo\\0002_9.jpg\r\n"), (sky, "0\n1\n"), (sea, "0\n0\n")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    names, labels = read_concepts(tmp_path, ["sky", "sea"])
    assert names == ("images/0001_7.jpg", "images/0002_9.jpg")
    assert labels.tolist() == [[0, 0], [1, 0]]


def test_tags_are_separated_by_spaces_or_tabs(tmp_path: Path) -> None:
    path = tmp_path / "AllTags1k.txt"
    path.write_bytes(b"0 1 0 \r\n1\t1\t0\n")
    assert [tags.tolist() for tags in stream_tags(path, 3)] == [[0, 1, 0], [1, 1, 0]]


@pytest.mark.parametrize(("line", "wrong"), [("0 2 0", "2"), ("0 x 0", "x"), ("01 0 0", "01"), ("0 / 0", "/")])
def test_a_tag_that_is_not_0_or_1_is_reported(tmp_path: Path, line: str, wrong: str) -> None:
    path = tmp_path / "AllTags1k.txt"
    path.write_text(f"0 0 0\n{line}\n")
    with pytest.raises(UserError, match=rf"AllTags1k.txt:2: a tag must be 0 or 1: got '{wrong}'"):
        list(stream_tags(path, 3))


@pytest.mark.parametrize(("line", "got"), [("0 1", 2), ("0 1 0 1", 4), ("", 0)])
def test_a_line_of_a_wrong_length_is_reported(tmp_path: Path, line: str, got: int) -> None:
    path = tmp_path / "AllTags1k.txt"
    path.write_text(f"0 0 0\n{line}\n0 0 0\n")
    with pytest.raises(UserError, match=rf"AllTags1k.txt:2: wrong number of tags: got {got}, expected 3"):
        list(stream_tags(path, 3))


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"AllTags1k.txt: it cannot be read: No such file"):
        list(stream_tags(tmp_path / "AllTags1k.txt", 3))
