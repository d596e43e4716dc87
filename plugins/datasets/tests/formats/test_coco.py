"""COCO's instances and captions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from retbench_datasets.formats.coco import read_captions, read_instances

from retbench import UserError

PICTURES = [{"id": 9, "file_name": "nine.jpg"}, {"id": 4, "file_name": "four.jpg"}]
CATEGORIES = [{"id": 13, "name": "dog"}, {"id": 1, "name": "cat"}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.json"


def test_pictures_come_by_their_numbers_with_their_objects(path: Path) -> None:
    shown = [{"image_id": 9, "category_id": 13}, {"image_id": 9, "category_id": 13}]
    path.write_text(json.dumps({"images": PICTURES, "categories": CATEGORIES, "annotations": shown}))
    instances = read_instances(path, ("cat", "dog"))
    assert instances.numbers == [4, 9]
    assert instances.files == ["four.jpg", "nine.jpg"]
    assert instances.labels.tolist() == [[0, 0], [0, 1]]


def test_captions_come_by_their_own_numbers_without_spaces_around(path: Path) -> None:
    said = [{"id": 3, "image_id": 9, "caption": " Third.\n"}, {"id": 1, "image_id": 9, "caption": "First"}]
    path.write_text(json.dumps({"images": PICTURES, "annotations": said}))
    assert read_captions(path) == {9: ["First", "Third."], 4: []}


@pytest.mark.parametrize(
    "facts", [[], {}, {"images": [], "annotations": [{"id": 1}]}, {"images": [{"id": 1}], "annotations": [7]}]
)
def test_what_is_not_cocos_is_refused(path: Path, facts: Any) -> None:
    path.write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"a.json: these are not COCO's captions: "):
        read_captions(path)


def test_a_caption_that_is_no_text_is_refused(path: Path) -> None:
    said = [{"id": 1, "image_id": 9, "caption": 5}]
    path.write_text(json.dumps({"images": PICTURES, "annotations": said}))
    with pytest.raises(UserError, match=r"a.json: these are not COCO's captions: AttributeError"):
        read_captions(path)


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(UserError, match=r"a.json: it cannot be read: No such file"):
        read_captions(path)
