"""MS-COCO from its instances."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from retbench_datasets.published.mscoco import CLASSES, Mscoco

from retbench import UserError

# COCO's numbers have holes and are not in alphabetical order; these are as good.
NUMBERS = {name: 2 * (79 - at) + 1 for at, name in enumerate(CLASSES)}


def instances(part: str, shown: dict[int, list[str]]) -> dict[str, Any]:
    return {
        "images": [{"id": number, "file_name": f"COCO_{part}_{number:012d}.jpg"} for number in shown],
        "categories": [{"id": number, "name": name} for name, number in NUMBERS.items()],
        "annotations": [
            {"image_id": number, "category_id": NUMBERS[name]} for number, names in shown.items() for name in names
        ],
    }


def write(root: Path, part: str, facts: Any) -> Path:
    path = root / "annotations" / f"instances_{part}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts))
    return path


@pytest.fixture
def root(data: Path) -> Path:
    root = data / "mscoco"
    write(root, "train2014", instances("train2014", {9: ["zebra", "cat", "cat"], 4: ["person"], 7: []}))
    write(root, "val2014", instances("val2014", {5: ["airplane"]}))
    return root


def test_the_classes_are_alphabetical_with_person_at_49() -> None:
    assert len(set(CLASSES)) == 80
    assert list(CLASSES) == sorted(CLASSES)
    assert CLASSES.index("person") == 49


def test_pictures_with_an_object_come_by_part_and_number(root: Path) -> None:
    names, labels = Mscoco().originals()
    assert names == (
        "train2014/COCO_train2014_000000000004.jpg",
        "train2014/COCO_train2014_000000000009.jpg",
        "val2014/COCO_val2014_000000000005.jpg",
    )
    assert [[CLASSES[at] for at in row.nonzero()[0]] for row in labels] == [["person"], ["cat", "zebra"], ["airplane"]]


def test_the_splits_are_drawn_from_all_pictures_with_an_object(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mscoco, "published_sizes", {"train": 1, "query": 1, "database": 2})
    dataset = Mscoco()
    assert [line.rpartition(", ")[2] for line in dataset.prepare()] == ["1 rows", "1 rows", "2 rows"]
    assert {*dataset.ids("query"), *dataset.ids("database")} == {*dataset.originals().names}
    (told,) = dataset.caveats(dataset.facts())
    assert "drawn by retbench" in told


def test_half_a_download_is_named(root: Path) -> None:
    path = root / "annotations" / "instances_val2014.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(UserError, match=r"instances_val2014.json: it is not JSON: .*is the download complete"):
        Mscoco().originals()


@pytest.mark.parametrize("facts", [{"images": []}, [], {"images": [], "categories": [{"id": 1}], "annotations": []}])
def test_other_json_is_named(root: Path, facts: Any) -> None:
    write(root, "val2014", facts)
    with pytest.raises(UserError, match=r"instances_val2014.json: these are not COCO's instances"):
        Mscoco().originals()


def test_other_categories_are_named(root: Path) -> None:
    facts = instances("val2014", {})
    facts["categories"][0]["name"] = "unicorn"
    write(root, "val2014", facts)
    with pytest.raises(UserError, match=r"instances_val2014.json: these are not COCO's 80 categories: 'airplane'"):
        Mscoco().originals()


def test_an_annotation_of_no_picture_is_named(root: Path) -> None:
    facts = instances("val2014", {5: ["cat"]})
    facts["annotations"][0]["image_id"] = 6
    write(root, "val2014", facts)
    with pytest.raises(UserError, match=r"instances_val2014.json: these are not COCO's instances: KeyError: 6"):
        Mscoco().originals()
