"""Anybody's own pictures, in folders or by a manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from retbench_datasets.published.image_folder import ImageFolder

from retbench import UserError


@pytest.fixture
def pets(data: Path, picture: Callable[..., None]) -> Path:
    """Six cats and six dogs in a folder each."""
    for seed in range(6):
        picture(data / "pets" / "cat" / f"{seed}.jpg", seed)
        picture(data / "pets" / "dog" / f"{seed}.PNG", 10 + seed)
    (data / "pets" / "cat" / "readme.txt").write_text("no picture")
    (data / "pets" / ".cache").mkdir()
    return data / "pets"


@pytest.fixture
def dataset(pets: Path) -> ImageFolder:
    return ImageFolder(folder="pets", queries=4, training=5, size=16)


def test_a_folder_is_a_class(dataset: ImageFolder) -> None:
    assert dataset.missing() is None
    assert dataset.facts().classes == ("cat", "dog")
    assert dataset.facts().sizes == {"train": 5, "query": 4, "database": 8}
    for split in ("train", "query", "database"):
        expected = [[1, 0] if name.startswith("cat/") else [0, 1] for name in dataset.ids(split)]
        assert dataset.labels(split).tolist() == expected
    assert {*dataset.ids("train")} <= {*dataset.ids("database")}


def test_the_splits_are_those_that_were_drawn_first(dataset: ImageFolder) -> None:
    """When this fails, every split drawn so far changes: it must not."""
    assert list(dataset.ids("query")) == ["cat/0.jpg", "cat/1.jpg", "cat/4.jpg", "cat/2.jpg"]


def test_training_rows_are_the_database_by_default(pets: Path) -> None:
    dataset = ImageFolder(folder="pets", queries=4)
    assert {*dataset.ids("train")} == {*dataset.ids("database")}


def test_the_database_is_not_sorted_by_class(dataset: ImageFolder) -> None:
    assert list(dataset.ids("database")) != sorted(dataset.ids("database"))


def test_a_new_picture_is_seen(dataset: ImageFolder, pets: Path, picture: Callable[..., None]) -> None:
    before = dataset.fingerprint()
    assert dataset.facts().sizes["database"] == 8
    picture(pets / "dog" / "new.jpg", 99)
    assert dataset.facts().sizes["database"] == 9
    assert dataset.fingerprint() != before


def test_a_manifest_names_splits(pets: Path) -> None:
    rows = ["cat/0.jpg,furry,test", "cat/1.jpg,furry;small,database;train", "dog/2.PNG,,database"]
    (pets / "manifest.csv").write_text("\n".join(["path,labels,split", *rows]))
    dataset = ImageFolder(folder="pets", size=16)
    assert dataset.facts().classes == ("furry", "small")
    assert dataset.facts().sizes == {"train": 1, "query": 1, "database": 2}
    assert dataset.labels("database").tolist() == [[1, 1], [0, 0]]
    assert dataset.images("query", [0]).shape == (1, 3, 16, 16)


def test_a_manifest_without_splits_is_drawn(pets: Path) -> None:
    rows = "".join(f'{{"path": "cat/{at}.jpg", "labels": ["x"]}}\n' for at in range(6))
    (pets / "manifest.jsonl").write_text(rows)
    (pets / "classes.txt").write_text("x\ny\n")
    dataset = ImageFolder(folder="pets", queries=2, size=16)
    assert dataset.facts().sizes == {"train": 4, "query": 2, "database": 4}
    assert dataset.facts().classes == ("x", "y")


def test_a_broken_picture_is_named_with_its_line_or_folder(dataset: ImageFolder, pets: Path) -> None:
    (pets / "cat" / "0.jpg").write_bytes(b"broken")
    (pets / "dog" / "0.PNG").write_bytes(b"broken")
    for split in ("query", "database"):
        row = next((row for row, name in enumerate(dataset.ids(split)) if name == "cat/0.jpg"), None)
        if row is not None:
            with pytest.raises(UserError, match=rf"{pets}: the picture cat/0.jpg cannot be read: Unidentified"):
                dataset.images(split, [row])
    (pets / "manifest.csv").write_text(
        "path,labels,split\ncat/1.jpg,a,train\ncat/0.jpg,a,query\ncat/2.jpg,a,database\n"
    )
    with pytest.raises(UserError, match=r"manifest.csv:3: the picture cat/0.jpg cannot be read"):
        dataset.images("query", [0])


def test_no_pictures_give_the_steps(data: Path) -> None:
    assert (ImageFolder().missing() or "").startswith(f"{data / 'image-folder'}: there are no pictures. To get them:")
    (data / "image-folder").mkdir()
    assert "To get them" in (ImageFolder().missing() or "")


def test_a_picture_of_the_manifest_that_is_not_there_is_told(pets: Path) -> None:
    (pets / "manifest.csv").write_text("path,labels,split\na.jpg,a,train\ncat/0.jpg,a,query\ncat/2.jpg,a,database\n")
    told = ImageFolder(folder="pets").missing()
    assert told == f"{pets / 'manifest.csv'}:2: no such picture: {pets / 'a.jpg'}"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"queries": 12}, "too few pictures: got 12, expected more than the 12 queries"),
        ({"queries": 4, "training": 9}, "too few pictures: got a database of 8, expected 9 training rows in it"),
    ],
)
def test_too_few_pictures_are_refused(pets: Path, options: dict[str, int], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        ImageFolder(folder="pets", **options).facts()


def test_folders_that_are_no_classes_are_refused(pets: Path) -> None:
    (pets / "cat" / "deep").mkdir()
    with pytest.raises(UserError, match=r"deep: a folder in a class's folder"):
        ImageFolder(folder="pets").facts()
    (pets / "cat" / "deep").rmdir()
    (pets / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: a class without a picture"):
        ImageFolder(folder="pets").facts()


def test_two_manifests_are_refused(pets: Path) -> None:
    for name in ("manifest.csv", "manifest.jsonl"):
        (pets / name).write_text("")
    with pytest.raises(UserError, match="two manifests"):
        ImageFolder(folder="pets").facts()


def test_a_manifest_without_a_query_is_refused(pets: Path) -> None:
    (pets / "manifest.csv").write_text("path,labels,split\ncat/0.jpg,a,train;database\n")
    with pytest.raises(UserError, match=r"manifest.csv: no row is of the split query: got train, database"):
        ImageFolder(folder="pets").facts()
