"""MS-COCO from its instances, and with captions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from retbench_datasets.editions.bert import encode_texts
from retbench_datasets.published.mscoco import CLASSES, Mscoco, MscocoSource

from retbench import UserError

# Category numbers with gaps and not in alphabetical order, like COCO's own.
NUMBERS = {name: 2 * (79 - index) + 1 for index, name in enumerate(CLASSES)}


def make_instances(coco_split: str, objects: dict[int, list[str]]) -> dict[str, Any]:
    return {
        "images": [{"id": number, "file_name": f"COCO_{coco_split}_{number:012d}.jpg"} for number in objects],
        "categories": [{"id": number, "name": name} for name, number in NUMBERS.items()],
        "annotations": [
            {"image_id": number, "category_id": NUMBERS[name]} for number, names in objects.items() for name in names
        ],
    }


def write_instances(root: Path, coco_split: str, content: Any) -> Path:
    path = root / "annotations" / f"instances_{coco_split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def root(data: Path) -> Path:
    root = data / "mscoco"
    write_instances(root, "train2014", make_instances("train2014", {9: ["zebra", "cat", "cat"], 4: ["person"], 7: []}))
    write_instances(root, "val2014", make_instances("val2014", {5: ["airplane"]}))
    return root


def test_the_classes_are_alphabetical_with_person_at_49() -> None:
    assert len(set(CLASSES)) == 80
    assert list(CLASSES) == sorted(CLASSES)
    assert CLASSES.index("person") == 49


def test_images_with_an_object_are_ordered_by_coco_split_and_number(root: Path) -> None:
    names, labels = Mscoco().labeled_images()
    assert names == (
        "train2014/COCO_train2014_000000000004.jpg",
        "train2014/COCO_train2014_000000000009.jpg",
        "val2014/COCO_val2014_000000000005.jpg",
    )
    assert [[CLASSES[index] for index in row.nonzero()[0]] for row in labels] == [
        ["person"],
        ["cat", "zebra"],
        ["airplane"],
    ]


def test_the_splits_are_drawn_from_all_images_with_an_object(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mscoco, "published_sizes", {"train": 1, "query": 1, "database": 2})
    dataset = Mscoco()
    assert [line.rpartition(", ")[2] for line in dataset.prepare()] == ["1 rows", "1 rows", "2 rows"]
    assert {*dataset.ids("query"), *dataset.ids("database")} == {*dataset.labeled_images().names}
    (caveat,) = dataset.caveats(dataset.facts())
    assert "drawn by retbench" in caveat


def test_an_incomplete_download_is_reported(root: Path) -> None:
    path = root / "annotations" / "instances_val2014.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(UserError, match=r"instances_val2014.json: it is not JSON: .*is the download complete"):
        Mscoco().labeled_images()


@pytest.mark.parametrize("content", [{"images": []}, [], {"images": [], "categories": [{"id": 1}], "annotations": []}])
def test_other_json_is_reported(root: Path, content: Any) -> None:
    write_instances(root, "val2014", content)
    with pytest.raises(UserError, match=r"instances_val2014.json: these are not COCO's instances"):
        Mscoco().labeled_images()


def test_other_categories_are_reported(root: Path) -> None:
    content = make_instances("val2014", {})
    content["categories"][0]["name"] = "unicorn"
    write_instances(root, "val2014", content)
    with pytest.raises(UserError, match=r"instances_val2014.json: these are not COCO's 80 categories: 'airplane'"):
        Mscoco().labeled_images()


def test_an_annotation_of_an_unknown_image_is_reported(root: Path) -> None:
    content = make_instances("val2014", {5: ["cat"]})
    content["annotations"][0]["image_id"] = 6
    write_instances(root, "val2014", content)
    with pytest.raises(UserError, match=r"instances_val2014.json: these are not COCO's instances: KeyError: 6"):
        Mscoco().labeled_images()


# COCO's own category numbers: 1 to 90 without these.
UNUSED_NUMBERS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
CATEGORY_NUMBERS = dict(
    zip(MscocoSource.classes, (number for number in range(1, 91) if number not in UNUSED_NUMBERS), strict=True)
)
OBJECTS = {"train": {9: ["zebra", "cat"], 4: ["person"], 7: []}, "val": {5: ["airplane"], 2: ["cat"], 6: []}}
CAPTIONS = {9: "a cat runs a dog", 4: "a dog sleeps .", 7: "a cat", 5: "dog", 2: "a a cat", 6: ""}


def write_annotations(root: Path, coco_split: str, year: str) -> None:
    objects = OBJECTS[coco_split]
    file_name = "{:012d}.jpg" if year == "2017" else f"COCO_{coco_split}{year}_{{:012d}}.jpg"
    images = [{"id": number, "file_name": file_name.format(number)} for number in objects]
    categories = [{"id": number, "name": name} for name, number in CATEGORY_NUMBERS.items()]
    instances = [
        {"image_id": number, "category_id": CATEGORY_NUMBERS[name]}
        for number, names in objects.items()
        for name in names
    ]
    captions = []
    for number in objects:
        first, _, rest = CAPTIONS[number].partition(" runs ")
        texts = [first + " runs", rest] if rest else [first]
        captions += [
            {"id": 10 * number + index, "image_id": number, "caption": text} for index, text in enumerate(texts)
        ]
    contents = {"instances": {"images": images, "categories": categories, "annotations": instances}}
    contents["captions"] = {"images": images, "annotations": captions}
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    for kind, content in contents.items():
        (root / "annotations" / f"{kind}_{coco_split}{year}.json").write_text(json.dumps(content))


@pytest.fixture(params=["2014", "2017"])
def year(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dataset(data: Path, bert: Path, year: str, monkeypatch: pytest.MonkeyPatch) -> Mscoco:
    """Return a dataset of three train and three val images; one of each has no object, one has an empty caption."""
    for coco_split in OBJECTS:
        write_annotations(data / "mscoco", coco_split, year)
    monkeypatch.setattr(MscocoSource, "sizes", {"train": 2, "query": 2, "database": 4})
    monkeypatch.setattr(MscocoSource, "text_width", 32)
    return Mscoco(edition="crossmodal")


def test_the_classes_are_those_of_the_unimodal_edition_by_number() -> None:
    assert sorted(MscocoSource.classes) == list(CLASSES)
    known = {"person": 1, "stop sign": 13, "bird": 16, "zebra": 24, "bottle": 44, "tv": 72, "toothbrush": 90}
    assert {name: CATEGORY_NUMBERS[name] for name in known} == known


def test_the_crossmodal_splits_contain_all_images() -> None:
    sizes = MscocoSource.sizes
    assert sizes["query"] + sizes["database"] == 123_287


def test_all_images_are_kept_with_joined_captions(dataset: Mscoco, bert: Path, year: str) -> None:
    lines = list(dataset.prepare())
    assert lines[0] == f"{dataset.root}: 6 images with captions of {year}"
    names = [*dataset.ids("query"), *dataset.ids("database")]
    numbers = [int(name.removesuffix(".jpg")[-12:]) for name in names]
    assert sorted(numbers) == sorted(CAPTIONS)
    file_name = "{:012d}.jpg" if year == "2017" else f"COCO_train{year}_{{:012d}}.jpg"
    assert {name for name in names if name.startswith("train")} == {
        f"train{year}/" + file_name.format(n) for n in (4, 7, 9)
    }
    (expected,) = encode_texts([CAPTIONS[number] for number in numbers], bert)
    found = [dataset.texts(split, range(dataset.facts().sizes[split])) for split in ("query", "database")]
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-5)
    assert not expected[numbers.index(6)].any()
    objects = {number: names for split in OBJECTS.values() for number, names in split.items()}
    labels = np.concatenate([dataset.labels(split) for split in ("query", "database")])
    for number, row in zip(numbers, labels, strict=True):
        assert {MscocoSource.classes[column] for column in row.nonzero()[0]} == {*objects[number]}
    assert (labels.sum(1) == 0).sum() == 2


def test_the_encoding_of_the_texts_is_a_caveat(dataset: Mscoco) -> None:
    list(dataset.prepare())
    drawn, encoded = dataset.caveats(dataset.facts())
    assert "splits were drawn by retbench" in drawn
    assert "bert-large-uncased" in encoded


def test_a_missing_captions_file_is_reported(dataset: Mscoco, year: str) -> None:
    path = dataset.root / "annotations" / f"captions_val{year}.json"
    path.unlink()
    assert list(dataset.prepare()) == [f"{dataset.root / 'crossmodal'}: nothing was built: missing: {path}"]
    assert "annotations_trainval2014.zip" in (dataset.missing() or "")


def test_a_missing_bert_is_reported_with_its_steps(dataset: Mscoco, bert: Path) -> None:
    shutil.rmtree(bert)
    message = dataset.missing() or ""
    assert "To get it: (1) install the packages" in message
    assert message.count(str(bert)) == 1
    assert message.endswith("(3) run `retbench datasets prepare mscoco --set edition=crossmodal`")
    assert "instances" not in message
    (line,) = dataset.prepare()
    assert line.startswith(f"{dataset.root / 'crossmodal'}: nothing was built: {bert}: missing: config.json")


def test_captions_of_other_images_are_refused(dataset: Mscoco, year: str) -> None:
    path = dataset.root / "annotations" / f"captions_train{year}.json"
    content = json.loads(path.read_text())
    content["images"] = [image for image in content["images"] if image["id"] != 7]
    content["annotations"] = [caption for caption in content["annotations"] if caption["image_id"] != 7]
    path.write_text(json.dumps(content))
    with pytest.raises(
        UserError,
        match=rf"captions_train{year}.json: it does not fit instances_train{year}.json: got no caption for image 7 "
        "and 0 more, expected captions for all 3 images",
    ):
        list(dataset.prepare())


def test_an_image_without_captions_is_refused(dataset: Mscoco, year: str) -> None:
    path = dataset.root / "annotations" / f"captions_val{year}.json"
    content = json.loads(path.read_text())
    content["annotations"] = [caption for caption in content["annotations"] if caption["image_id"] != 6]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"captions_val{year}.json: .*: got no caption for image 6 and 0 more"):
        list(dataset.prepare())


def test_2014_is_used_if_both_years_exist(data: Path) -> None:
    for year in ("2017", "2014"):
        write_annotations(data / "mscoco", "train", year)
    assert all("2014" in path.name for path in MscocoSource().required_files(data / "mscoco"))
