"""COCO's instances and captions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from retbench_datasets.formats.coco import read_captions, read_instances

from retbench import UserError

IMAGES = [{"id": 9, "file_name": "nine.jpg"}, {"id": 4, "file_name": "four.jpg"}]
CATEGORIES = [{"id": 13, "name": "dog"}, {"id": 1, "name": "cat"}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.json"


def test_images_are_ordered_by_number_with_their_objects(path: Path) -> None:
    objects = [{"image_id": 9, "category_id": 13}, {"image_id": 9, "category_id": 13}]
    path.write_text(json.dumps({"images": IMAGES, "categories": CATEGORIES, "annotations": objects}))
    instances = read_instances(path, ("cat", "dog"))
    assert instances.numbers == [4, 9]
    assert instances.files == ["four.jpg", "nine.jpg"]
    assert instances.labels.tolist() == [[0, 0], [0, 1]]


def test_captions_are_ordered_by_number_and_stripped(path: Path) -> None:
    captions = [{"id": 3, "image_id": 9, "caption": " Third.\n"}, {"id": 1, "image_id": 9, "caption": "First"}]
    path.write_text(json.dumps({"images": IMAGES, "annotations": captions}))
    assert read_captions(path) == {9: ["First", "Third."], 4: []}


@pytest.mark.parametrize(
    "content", [[], {}, {"images": [], "annotations": [{"id": 1}]}, {"images": [{"id": 1}], "annotations": [7]}]
)
def test_other_json_is_refused(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"a.json: these are not COCO's captions: "):
        read_captions(path)


def test_a_caption_that_is_no_string_is_refused(path: Path) -> None:
    captions = [{"id": 1, "image_id": 9, "caption": 5}]
    path.write_text(json.dumps({"images": IMAGES, "annotations": captions}))
    with pytest.raises(UserError, match=r"a.json: these are not COCO's captions: AttributeError"):
        read_captions(path)


def test_a_missing_file_is_reported(path: Path) -> None:
    with pytest.raises(UserError, match=r"a.json: it cannot be read: No such file"):
        read_captions(path)
