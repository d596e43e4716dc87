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
    names, labels = Mscoco().labeled_images()
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
    assert {*dataset.ids("query"), *dataset.ids("database")} == {*dataset.labeled_images().names}
    (told,) = dataset.caveats(dataset.facts())
    assert "drawn by retbench" in told


def test_half_a_download_is_named(root: Path) -> None:
    path = root / "annotations" / "instances_val2014.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(UserError, match=r"instances_val2014.json: it is not JSON: .*is the download complete"):
        Mscoco().labeled_images()


@pytest.mark.parametrize("facts", [{"images": []}, [], {"images": [], "categories": [{"id": 1}], "annotations": []}])
def test_other_json_is_named(root: Path, facts: Any) -> None:
    write(root, "val2014", facts)
    with pytest.raises(UserError, match=r"instances_val2014.json: these are not COCO's instances"):
        Mscoco().labeled_images()


def test_other_categories_are_named(root: Path) -> None:
    facts = instances("val2014", {})
    facts["categories"][0]["name"] = "unicorn"
    write(root, "val2014", facts)
    with pytest.raises(UserError, match=r"instances_val2014.json: these are not COCO's 80 categories: 'airplane'"):
        Mscoco().labeled_images()


def test_an_annotation_of_no_picture_is_named(root: Path) -> None:
    facts = instances("val2014", {5: ["cat"]})
    facts["annotations"][0]["image_id"] = 6
    write(root, "val2014", facts)
    with pytest.raises(UserError, match=r"instances_val2014.json: these are not COCO's instances: KeyError: 6"):
        Mscoco().labeled_images()


# COCO's numbers of its categories have holes; these are its own.
HOLES = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
CATEGORY_NUMBERS = dict(
    zip(MscocoSource.classes, (number for number in range(1, 91) if number not in HOLES), strict=True)
)
SHOWN = {"train": {9: ["zebra", "cat"], 4: ["person"], 7: []}, "val": {5: ["airplane"], 2: ["cat"], 6: []}}
SAID = {9: "a cat runs a dog", 4: "a dog sleeps .", 7: "a cat", 5: "dog", 2: "a a cat", 6: ""}


def write_annotations(root: Path, part: str, year: str) -> None:
    shown = SHOWN[part]
    named = "{:012d}.jpg" if year == "2017" else f"COCO_{part}{year}_{{:012d}}.jpg"
    pictures = [{"id": number, "file_name": named.format(number)} for number in shown]
    categories = [{"id": number, "name": name} for name, number in CATEGORY_NUMBERS.items()]
    shapes = [
        {"image_id": number, "category_id": CATEGORY_NUMBERS[name]} for number, names in shown.items() for name in names
    ]
    captions = []
    for number in shown:
        first, _, rest = SAID[number].partition(" runs ")
        said = [first + " runs", rest] if rest else [first]
        captions += [{"id": 10 * number + at, "image_id": number, "caption": text} for at, text in enumerate(said)]
    facts = {"instances": {"images": pictures, "categories": categories, "annotations": shapes}}
    facts["captions"] = {"images": pictures, "annotations": captions}
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    for kind, told in facts.items():
        (root / "annotations" / f"{kind}_{part}{year}.json").write_text(json.dumps(told))


@pytest.fixture(params=["2014", "2017"])
def year(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dataset(data: Path, bert: Path, year: str, monkeypatch: pytest.MonkeyPatch) -> Mscoco:
    """Three training pictures and three of validation; one of each shows no object, one has an empty caption."""
    for part in SHOWN:
        write_annotations(data / "mscoco", part, year)
    monkeypatch.setattr(MscocoSource, "sizes", {"train": 2, "query": 2, "database": 4})
    monkeypatch.setattr(MscocoSource, "text_width", 32)
    return Mscoco(edition="crossmodal")


def test_the_classes_are_those_of_the_other_edition_by_number() -> None:
    assert sorted(MscocoSource.classes) == list(CLASSES)
    known = {"person": 1, "stop sign": 13, "bird": 16, "zebra": 24, "bottle": 44, "tv": 72, "toothbrush": 90}
    assert {name: CATEGORY_NUMBERS[name] for name in known} == known


def test_the_cross_modal_splits_hold_all_pictures() -> None:
    sizes = MscocoSource.sizes
    assert sizes["query"] + sizes["database"] == 123_287


def test_every_picture_is_kept_with_its_captions_joined(dataset: Mscoco, bert: Path, year: str) -> None:
    told = list(dataset.prepare())
    assert told[0] == f"{dataset.root}: 6 pictures with captions of {year}"
    names = [*dataset.ids("query"), *dataset.ids("database")]
    numbers = [int(name.removesuffix(".jpg")[-12:]) for name in names]
    assert sorted(numbers) == sorted(SAID)
    file = "{:012d}.jpg" if year == "2017" else f"COCO_train{year}_{{:012d}}.jpg"
    assert {name for name in names if name.startswith("train")} == {f"train{year}/" + file.format(n) for n in (4, 7, 9)}
    (expected,) = encode_texts([SAID[number] for number in numbers], bert)
    found = [dataset.texts(split, range(dataset.facts().sizes[split])) for split in ("query", "database")]
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-5)
    assert not expected[numbers.index(6)].any()
    shown = {number: names for part in SHOWN.values() for number, names in part.items()}
    labels = np.concatenate([dataset.labels(split) for split in ("query", "database")])
    for number, row in zip(numbers, labels, strict=True):
        assert {MscocoSource.classes[column] for column in row.nonzero()[0]} == {*shown[number]}
    assert (labels.sum(1) == 0).sum() == 2


def test_how_the_texts_were_made_is_a_caveat(dataset: Mscoco) -> None:
    list(dataset.prepare())
    drawn, encoded = dataset.caveats(dataset.facts())
    assert "put in order by retbench" in drawn
    assert "bert-large-uncased" in encoded


def test_a_missing_captions_file_is_told(dataset: Mscoco, year: str) -> None:
    path = dataset.root / "annotations" / f"captions_val{year}.json"
    path.unlink()
    assert list(dataset.prepare()) == [f"{dataset.root / 'crossmodal'}: nothing was built: not there: {path}"]
    assert "annotations_trainval2014.zip" in (dataset.missing() or "")


def test_without_bert_the_steps_to_get_it_are_told(dataset: Mscoco, bert: Path) -> None:
    shutil.rmtree(bert)
    told = dataset.missing() or ""
    assert f"{bert}: not there: config.json, model.safetensors" in told
    assert told.endswith("Then run `retbench datasets prepare mscoco --set edition=crossmodal`")
    assert "instances" not in told
    (line,) = dataset.prepare()
    assert line.startswith(f"{dataset.root / 'crossmodal'}: nothing was built: {bert}: not there: config.json")


def test_captions_of_other_pictures_are_refused(dataset: Mscoco, year: str) -> None:
    path = dataset.root / "annotations" / f"captions_train{year}.json"
    facts = json.loads(path.read_text())
    facts["images"] = [picture for picture in facts["images"] if picture["id"] != 7]
    facts["annotations"] = [caption for caption in facts["annotations"] if caption["image_id"] != 7]
    path.write_text(json.dumps(facts))
    with pytest.raises(
        UserError,
        match=rf"captions_train{year}.json: it does not fit instances_train{year}.json: got no caption of picture 7 "
        "and 0 more, expected one or more of all 3",
    ):
        list(dataset.prepare())


def test_a_picture_without_any_caption_is_refused(dataset: Mscoco, year: str) -> None:
    path = dataset.root / "annotations" / f"captions_val{year}.json"
    facts = json.loads(path.read_text())
    facts["annotations"] = [caption for caption in facts["annotations"] if caption["image_id"] != 6]
    path.write_text(json.dumps(facts))
    with pytest.raises(UserError, match=rf"captions_val{year}.json: .*: got no caption of picture 6 and 0 more"):
        list(dataset.prepare())


def test_2014_is_taken_where_both_years_are_there(data: Path) -> None:
    for year in ("2017", "2014"):
        write_annotations(data / "mscoco", "train", year)
    assert all("2014" in path.name for path in MscocoSource().files(data / "mscoco"))
