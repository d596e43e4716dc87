"""The user's own images, in folders or in a manifest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from retbench_datasets.published.image_folder import ImageFolder

import retbench
from retbench import UserError


@pytest.fixture
def pets(data: Path, make_image: Callable[..., None]) -> Path:
    """Return a folder with six images of cats and six of dogs, one folder per class."""
    for seed in range(6):
        make_image(data / "pets" / "cat" / f"{seed}.jpg", seed)
        make_image(data / "pets" / "dog" / f"{seed}.PNG", 10 + seed)
    (data / "pets" / "cat" / "readme.txt").write_text("no image")
    (data / "pets" / ".cache").mkdir()
    return data / "pets"


@pytest.fixture
def dataset(pets: Path) -> ImageFolder:
    return ImageFolder(folder="pets", queries=4, training=5, size=16)


def test_each_folder_is_a_class(dataset: ImageFolder) -> None:
    assert dataset.missing() is None
    assert dataset.facts().classes == ("cat", "dog")
    assert dataset.facts().sizes == {"train": 5, "query": 4, "database": 8}
    for split in ("train", "query", "database"):
        expected = [[1, 0] if name.startswith("cat/") else [0, 1] for name in dataset.ids(split)]
        assert dataset.labels(split).tolist() == expected
    assert {*dataset.ids("train")} <= {*dataset.ids("database")}


def test_the_drawn_splits_are_pinned(dataset: ImageFolder) -> None:
    """A failure means that every split drawn so far changes, which must not happen."""
    assert list(dataset.ids("query")) == ["cat/0.jpg", "cat/1.jpg", "cat/4.jpg", "cat/2.jpg"]


def test_training_rows_are_the_database_by_default(pets: Path) -> None:
    dataset = ImageFolder(folder="pets", queries=4)
    assert {*dataset.ids("train")} == {*dataset.ids("database")}


def test_the_database_is_not_sorted_by_class(dataset: ImageFolder) -> None:
    assert list(dataset.ids("database")) != sorted(dataset.ids("database"))


def test_a_new_image_changes_sizes_and_fingerprint(
    dataset: ImageFolder, pets: Path, make_image: Callable[..., None]
) -> None:
    before = dataset.fingerprint()
    assert dataset.facts().sizes["database"] == 8
    make_image(pets / "dog" / "new.jpg", 99)
    assert dataset.facts().sizes["database"] == 9
    assert dataset.fingerprint() != before


def test_splits_come_from_the_manifest(pets: Path) -> None:
    rows = ["cat/0.jpg,furry,test", "cat/1.jpg,furry;small,database;train", "dog/2.PNG,,database"]
    (pets / "manifest.csv").write_text("\n".join(["path,labels,split", *rows]))
    dataset = ImageFolder(folder="pets", size=16)
    assert dataset.facts().classes == ("furry", "small")
    assert dataset.facts().sizes == {"train": 1, "query": 1, "database": 2}
    assert dataset.labels("database").tolist() == [[1, 1], [0, 0]]
    assert dataset.images("query", [0]).shape == (1, 3, 16, 16)


def test_splits_are_drawn_for_a_manifest_without_splits(pets: Path) -> None:
    rows = "".join(f'{{"path": "cat/{number}.jpg", "labels": ["x"]}}\n' for number in range(6))
    (pets / "manifest.jsonl").write_text(rows)
    (pets / "classes.txt").write_text("x\ny\n")
    dataset = ImageFolder(folder="pets", queries=2, size=16)
    assert dataset.facts().sizes == {"train": 4, "query": 2, "database": 4}
    assert dataset.facts().classes == ("x", "y")


def test_a_broken_image_is_reported_with_its_line_or_folder(dataset: ImageFolder, pets: Path) -> None:
    (pets / "cat" / "0.jpg").write_bytes(b"broken")
    (pets / "dog" / "0.PNG").write_bytes(b"broken")
    for split in ("query", "database"):
        row = next((row for row, name in enumerate(dataset.ids(split)) if name == "cat/0.jpg"), None)
        if row is not None:
            with pytest.raises(UserError, match=rf"{pets}: the image cat/0.jpg cannot be read: Unidentified"):
                dataset.images(split, [row])
    (pets / "manifest.csv").write_text(
        "path,labels,split\ncat/1.jpg,a,train\ncat/0.jpg,a,query\ncat/2.jpg,a,database\n"
    )
    with pytest.raises(UserError, match=r"manifest.csv:3: the image cat/0.jpg cannot be read"):
        dataset.images("query", [0])


def test_an_empty_folder_is_reported_with_the_steps(data: Path) -> None:
    assert (ImageFolder().missing() or "").startswith(f"{data / 'image-folder'}: there are no images. To get them:")
    (data / "image-folder").mkdir()
    assert "To get them" in (ImageFolder().missing() or "")


def test_a_missing_image_of_the_manifest_is_reported(pets: Path) -> None:
    (pets / "manifest.csv").write_text("path,labels,split\na.jpg,a,train\ncat/0.jpg,a,query\ncat/2.jpg,a,database\n")
    message = ImageFolder(folder="pets").missing()
    assert message == f"{pets / 'manifest.csv'}:2: no such image: {pets / 'a.jpg'}"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"queries": 12}, "too few images: got 12, expected more than the 12 queries"),
        ({"queries": 4, "training": 9}, "too few images: got a database of 8, expected 9 training rows in it"),
    ],
)
def test_too_few_images_are_refused(pets: Path, options: dict[str, int], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        ImageFolder(folder="pets", **options).facts()


def test_nested_and_empty_folders_are_refused(pets: Path) -> None:
    (pets / "cat" / "deep").mkdir()
    with pytest.raises(UserError, match=r"deep: a folder inside a class folder"):
        ImageFolder(folder="pets").facts()
    (pets / "cat" / "deep").rmdir()
    (pets / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: a class without images"):
        ImageFolder(folder="pets").facts()


def test_two_manifests_are_refused(pets: Path) -> None:
    for name in ("manifest.csv", "manifest.jsonl"):
        (pets / name).write_text("")
    with pytest.raises(UserError, match="two manifests"):
        ImageFolder(folder="pets").facts()


def test_a_manifest_without_queries_is_refused(pets: Path) -> None:
    (pets / "manifest.csv").write_text("path,labels,split\ncat/0.jpg,a,train;database\n")
    with pytest.raises(UserError, match=r"manifest.csv: no row of the split query: got train, database"):
        ImageFolder(folder="pets").facts()


def test_inverted_images_change_the_fingerprint_even_with_their_old_sizes_and_times(
    dataset: ImageFolder, pets: Path
) -> None:
    before, by_size = dataset.fingerprint(), dataset.model_copy(update={"identity": "size"})
    sizes = by_size.fingerprint()
    for path in (pets / "cat").glob("*.jpg"):
        times = path.stat()
        path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert dataset.fingerprint() != before
    assert by_size.fingerprint() == sizes


def test_the_identity_by_size_is_a_caveat_and_another_fingerprint(dataset: ImageFolder) -> None:
    by_size = ImageFolder(folder="pets", queries=4, training=5, size=16, identity="size")
    assert by_size.fingerprint() != dataset.fingerprint()
    assert dataset.caveats(dataset.facts()) == ()
    assert by_size.caveats(by_size.facts()) == (
        "identity: size: the pixels of the images were not compared between runs",
    )


def test_a_class_folder_that_is_linked_twice_is_refused(pets: Path) -> None:
    (pets / "hound").symlink_to(pets / "dog")
    with pytest.raises(UserError, match="hound: the same folder as the class dog; remove one of the two links"):
        ImageFolder(folder="pets").facts()


def evaluate(dataset: ImageFolder, folder: Path) -> str:
    """Return the reason why the dataset is not evaluated."""
    with pytest.warns(UserWarning, match="1 of 1 cells failed"):
        [row] = retbench.evaluate(dataset=dataset, hasher="dpsh", store=folder / "store", progress=False).rows()
    assert row.status == "failed"
    return row.reason


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to], ids=["symbolic link", "hard link"])
def test_a_link_to_a_query_is_not_evaluated(
    dataset: ImageFolder, pets: Path, link: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    link(pets / "dog" / "linked.jpg", pets / dataset.ids("query")[0])
    assert "database: contains the files of 1 queries" in evaluate(dataset, tmp_path)


def test_a_copy_of_a_query_is_found_by_its_bytes(dataset: ImageFolder, pets: Path, tmp_path: Path) -> None:
    (pets / "dog" / "copied.jpg").write_bytes((pets / dataset.ids("query")[0]).read_bytes())
    assert "database: contains copies of 1 queries" in evaluate(dataset, tmp_path)
    by_size = dataset.model_copy(update={"identity": "size"})
    assert {image.content for image in by_size.image_files("query")} == {None}
