"""The published list format; the published lists themselves where they are at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.formats.image_label_lists import (
    absent_lists,
    list_paths,
    listed_splits,
    listing_texts,
    read_index,
    read_listing,
    unique_classes,
    write_text,
)
from retbench_datasets.published.flickr25k import CLASSES as FLICKR
from retbench_datasets.published.nuswide import CLASSES as NUSWIDE

from retbench import UserError

REAL = Path(__file__).parents[5] / "shared" / "data"
needs_real_lists = pytest.mark.skipif(not REAL.is_dir(), reason=f"the published lists are not in {REAL.name}")

# Pictures of each class among all 25 000, in the order of the published columns.
FLICKR_SUMS = (
    *(3700, 7912, 791, 4683, 8313, 3982, 3931, 684, 149, 1077, 3216, 1177, 1322, 2711, 2895, 2135, 10373, 484, 1823),
    *(1350, 990, 116, 214, 669, 9992, 590, 380, 3331, 259, 3647, 8763, 3829, 668, 742, 7849, 6081, 894, 6184),
)


@pytest.fixture
def folder(tmp_path: Path, lists: Callable[..., None]) -> Path:
    lists(tmp_path, "train", ["c.jpg", "c.jpg"], [[1, 0], [1, 0]])
    lists(tmp_path, "test", ["a.jpg", "b.jpg"], [[0, 1], [0, 0]])
    lists(tmp_path, "database", ["c.jpg", "d.jpg"], [[1, 0], [1, 1]])
    return tmp_path


@needs_real_lists
def test_the_published_flickr_lists_are_read_as_they_stand() -> None:
    splits = read_index(REAL / "flickr25k", FLICKR).splits
    assert {split: len(listing.names) for split, listing in splits.items()} == {
        "train": 5000,
        "query": 1700,
        "database": 23_300,
    }
    bare = {split: int((~listing.labels.any(1)).sum()) for split, listing in splits.items()}
    assert bare == {"train": 95, "query": 38, "database": 381}
    assert len({*splits["train"].names}) == 4496
    assert len({row.tobytes() for row in splits["database"].labels}) == 4271
    assert len({row.tobytes() for row in splits["train"].labels}) == 1459
    sums = splits["query"].labels.sum(0) + splits["database"].labels.sum(0)
    assert tuple(sums.tolist()) == FLICKR_SUMS


@needs_real_lists
def test_the_flickr_columns_go_together_as_their_names_say() -> None:
    splits = read_index(REAL / "flickr25k", FLICKR).splits
    labels = np.concatenate([splits["query"].labels, splits["database"].labels]).astype(bool)
    column = {name: labels[:, at] for at, name in enumerate(FLICKR)}
    for name in FLICKR:
        if name.endswith("_r1"):
            assert (column[name] & ~column[name.removesuffix("_r1")]).sum() <= (4 if name == "people_r1" else 0)
    for water in ("sea", "river", "lake"):
        assert not (column[water] & ~column["water"]).any()


@needs_real_lists
def test_the_published_nuswide_lists_are_read_as_they_stand() -> None:
    splits = {split: read_listing(REAL / "nuswide", split, len(NUSWIDE)) for split in listed_splits(REAL / "nuswide")}
    assert {split: len(listing.names) for split, listing in splits.items()} == {"train": 10_500, "query": 2100}
    assert all(listing.labels.any(1).all() for listing in splits.values())
    assert splits["train"].labels.sum(0).min() >= 500
    assert splits["query"].labels.sum(0).min() >= 100
    assert not {*splits["train"].names} & {*splits["query"].names}
    assert len({row.tobytes() for row in splits["train"].labels}) == 1683
    assert splits["query"].names[0] == "images/0222_335192179.jpg"
    assert absent_lists(REAL / "nuswide") == ["database_img.txt", "database_label.txt"]


@needs_real_lists
def test_the_nuswide_columns_go_together_as_their_names_say() -> None:
    labels = read_listing(REAL / "nuswide", "train", len(NUSWIDE)).labels.astype(bool)
    column = {name: labels[:, at] for at, name in enumerate(NUSWIDE)}
    for inner, outer, share in (
        *(("lake", "water", 0.8), ("ocean", "water", 0.7), ("beach", "water", 0.7), ("beach", "ocean", 0.5)),
        *(("sunset", "sky", 0.8), ("flowers", "plants", 0.5), ("clouds", "sky", 0.8), ("reflection", "water", 0.7)),
    ):
        assert (column[inner] & column[outer]).sum() / column[inner].sum() > share
    for first, second in (("snow", "mountain"), ("vehicle", "road"), ("tree", "grass"), ("buildings", "window")):
        others = [column[name] for name in ("animal", "person", "flowers", "reflection")]
        together = (column[first] & column[second]).sum()
        assert all((column[first] & other).sum() < together for other in others)


def test_the_three_splits_are_read(folder: Path) -> None:
    index = read_index(folder, ("x", "y"))
    assert index.classes == ("x", "y")
    assert index.splits["train"].names == ("c.jpg", "c.jpg")
    assert index.splits["query"].labels.tolist() == [[0, 1], [0, 0]]
    assert index.splits["database"].place(1) == f"{folder / 'database_img.txt'}:2"


def test_classes_come_from_their_file_or_are_numbered(folder: Path) -> None:
    assert read_index(folder).classes == ("class-0", "class-1")
    (folder / "classes.txt").write_text("sky\nsea\n")
    assert read_index(folder).classes == ("sky", "sea")


def test_a_class_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("sky\nsea\nsky\n")
    with pytest.raises(UserError, match=r"classes.txt:3: a class is listed twice: got 'sky', as on line 1"):
        unique_classes(tmp_path / "classes.txt")


def test_an_index_is_remembered_until_a_list_changes(folder: Path, lists: Callable[..., None]) -> None:
    first = read_index(folder)
    assert read_index(folder) is first
    lists(folder, "test", ["e.jpg"], [[0, 1]])
    assert read_index(folder).splits["query"].names == ("e.jpg",)


def test_lists_of_other_lengths_are_refused(folder: Path, lists: Callable[..., None]) -> None:
    lists(folder, "test", ["a.jpg", "b.jpg", "e.jpg"], [[0, 1], [1, 1]])
    with pytest.raises(UserError, match=r"test_label.txt:3: it does not fit test_img.txt: got 2 lines, expected 3"):
        read_index(folder)


def test_a_list_with_another_number_of_classes_is_refused(folder: Path, lists: Callable[..., None]) -> None:
    with pytest.raises(UserError, match=r"train_label.txt:1: wrong number of labels: got 2, expected 3"):
        read_index(folder, ("x", "y", "z"))
    lists(folder, "database", ["c.jpg"], [[1, 0, 0]])
    with pytest.raises(UserError, match=r"database_label.txt:1: wrong number of labels: got 3, expected 2"):
        read_index(folder)


def test_an_empty_line_among_the_pictures_is_named(folder: Path) -> None:
    (folder / "test_img.txt").write_text("a.jpg\n\nb.jpg\n")
    with pytest.raises(UserError, match=r"test_img.txt:2: an empty line"):
        read_index(folder)


def test_a_path_out_of_the_folder_is_named_with_its_line(folder: Path) -> None:
    (folder / "test_img.txt").write_text("a.jpg\n/home/b.jpg\n")
    with pytest.raises(UserError, match=r"test_img.txt:2: a picture's path must stay"):
        read_index(folder)


def test_what_is_not_there_is_listed(folder: Path) -> None:
    assert absent_lists(folder) == []
    (folder / "test_label.txt").unlink()
    assert absent_lists(folder) == ["test_label.txt"]
    assert len(absent_lists(folder / "nowhere")) == 6


def test_half_a_split_is_refused_where_whole_ones_are_asked_for(folder: Path) -> None:
    assert list(listed_splits(folder)) == ["train", "query", "database"]
    (folder / "test_label.txt").unlink()
    with pytest.raises(UserError, match=r"test_label.txt: no such file, but test_img.txt is there"):
        list(listed_splits(folder))


def test_a_written_split_is_read_back(tmp_path: Path) -> None:
    labels = np.array([[1, 0, 1], [0, 0, 0]], dtype=np.uint8)
    for path, text in zip(list_paths(tmp_path, "query"), listing_texts(["a.jpg", "b c.jpg"], labels), strict=True):
        write_text(path, text)
    listing = read_listing(tmp_path, "query", 3)
    assert listing.names == ("a.jpg", "b c.jpg")
    assert np.array_equal(listing.labels, labels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test_img.txt", "test_label.txt"]


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(UserError, match=r"a\.txt: it cannot be written: Is a directory"):
        write_text(tmp_path / "a.txt", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
