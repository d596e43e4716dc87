"""Unimodal editions: missing files, built lists, and caveats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from retbench_datasets.formats.image_label_lists import missing_lists
from retbench_datasets.published.flickr25k import Flickr25k
from retbench_datasets.published.published_dataset import TwoEditionDataset

from retbench import UserError

PublishedFolder = Callable[[type[TwoEditionDataset]], Path]
DRAWN = "train, query, database rows were drawn by retbench (sha256 of the paths): not the published split"
REBUILT = (
    "database rows were rebuilt by retbench (every labeled image but the queries): the published order is not "
    "known, which affects ties only"
)


@pytest.fixture
def annotations(data: Path) -> Path:
    """Return the folder of MIRFLICKR's annotation files, with ten images each."""
    folder = data / "flickr25k" / "mirflickr25k_annotations_v080"
    folder.mkdir(parents=True)
    for column, name in enumerate(Flickr25k.published_classes):
        (folder / f"{name}.txt").write_text("".join(f"{number}\r\n" for number in range(column + 1, column + 11)))
    return folder


def test_all_steps_and_the_license_are_reported_for_an_empty_folder(data: Path) -> None:
    message = Flickr25k().missing() or ""
    assert message.startswith(f"{data / 'flickr25k'}: missing: train_img.txt, train_label.txt, test_img.txt, ")
    for part in ("(1) download", "mirflickr25k.zip", "(4) run `retbench datasets prepare flickr25k`", "License:"):
        assert part in message


def test_single_missing_lists_are_reported(published_folder: PublishedFolder) -> None:
    root = published_folder(Flickr25k)
    (root / "database_label.txt").unlink()
    message = Flickr25k().missing() or ""
    assert message.startswith(f"{root}: missing: database_label.txt; the other lists exist. To get it: (1) download")


def test_with_the_label_files_the_only_step_is_prepare(annotations: Path) -> None:
    message = Flickr25k().missing() or ""
    assert message.endswith("To get it: run `retbench datasets prepare flickr25k`")


def test_a_missing_image_is_reported_with_its_line(published_folder: PublishedFolder) -> None:
    root = published_folder(Flickr25k)
    (root / "mirflickr" / "im10.jpg").unlink()
    message = Flickr25k().missing() or ""
    assert message.startswith(f"{root / 'test_img.txt'}:10: no such image: {root / 'mirflickr' / 'im10.jpg'}. To get")


def test_splits_of_ten_rows_work_with_a_caveat_each(published_folder: PublishedFolder) -> None:
    published_folder(Flickr25k)
    dataset = Flickr25k()
    assert dataset.caveats(dataset.facts()) == (
        "expected 5000 training rows, got 10: not the published split",
        "expected 1700 query rows, got 10: not the published split",
        "expected 23300 database rows, got 10: not the published split",
    )


def test_drawn_lists_have_the_published_sizes_and_a_caveat(annotations: Path) -> None:
    dataset = Flickr25k()
    root = dataset.root
    assert list(dataset.prepare()) == [
        f"{root}: drawn: train_img.txt and train_label.txt, 5000 rows",
        f"{root}: drawn: test_img.txt and test_label.txt, 1700 rows",
        f"{root}: drawn: database_img.txt and database_label.txt, 23300 rows",
    ]
    assert missing_lists(root) == []
    assert dataset.caveats(dataset.facts()) == (DRAWN,)
    assert list(dataset.prepare()) == [f"{root}: all lists exist"]
    assert {path.name for path in root.glob(".*")} == set()


def test_a_replaced_list_has_no_caveat(annotations: Path) -> None:
    dataset = Flickr25k()
    list(dataset.prepare())
    with (dataset.root / "test_label.txt").open("a") as stream:
        stream.write("\n")
    (caveat,) = dataset.caveats(dataset.facts())
    assert caveat.startswith("train, database rows were drawn")


def test_a_deleted_list_is_rebuilt_to_fit_the_others(annotations: Path) -> None:
    dataset = Flickr25k()
    list(dataset.prepare())
    before = (dataset.root / "database_img.txt").read_bytes()
    for path in (dataset.root / "prepared.json", *dataset.root.glob("database_*.txt")):
        path.unlink()
    assert len(list(dataset.prepare())) == 1
    assert (dataset.root / "database_img.txt").read_bytes() == before
    assert dataset.caveats(dataset.facts()) == (REBUILT,)
    assert list(json.loads((dataset.root / "prepared.json").read_text())) == ["database"]


def test_the_record_is_written_before_the_lists(annotations: Path) -> None:
    lines = Flickr25k().prepare()
    next(lines)
    lines.close()
    assert set(json.loads((Flickr25k().root / "prepared.json").read_text())) == {"train", "query", "database"}
    assert missing_lists(Flickr25k().root)[0] == "test_img.txt"
    list(Flickr25k().prepare())
    (drawn,) = Flickr25k().caveats(Flickr25k().facts())
    assert drawn == DRAWN


def test_an_incomplete_split_is_refused(annotations: Path) -> None:
    (annotations.parent / "test_img.txt").write_text("mirflickr/im1.jpg\n")
    with pytest.raises(UserError, match=r"test_label.txt: no such file, but test_img.txt exists"):
        list(Flickr25k().prepare())


def test_without_label_files_nothing_is_built(data: Path, annotations: Path) -> None:
    for path in list(annotations.glob("s*.txt")):
        path.unlink()
    (line,) = Flickr25k().prepare()
    assert line == f"{data / 'flickr25k'}: no list was built: missing: {annotations / 'sky.txt'} and 4 more"
    assert "(1) download" in (Flickr25k().missing() or "")
    assert missing_lists(data / "flickr25k") != []
