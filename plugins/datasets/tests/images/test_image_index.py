"""What the splits of a folder list."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.images.image_index import Index, Listing, picture_name, read_lines, stamp

from retbench import UserError


def listing(source: Path, *names: str) -> Listing:
    return Listing(
        names, np.eye(3, dtype=np.uint8)[[len(name) % 3 for name in names]], source, range(1, len(names) + 1)
    )


@pytest.fixture
def index(tmp_path: Path, picture: Callable[..., None]) -> Callable[..., Index]:
    """An index of pictures a to f, which are on disk; a split may be given other names."""
    for seed, name in enumerate("abcdef"):
        picture(tmp_path / f"{name}.jpg", seed)

    def build(**other: tuple[str, ...]) -> Index:
        names = {"train": ("c.jpg", "c.jpg"), "query": ("a.jpg", "b.jpg"), "database": ("c.jpg", "d.jpg"), **other}
        splits = {split: listing(tmp_path / f"{split}.txt", *listed) for split, listed in names.items()}
        return Index(tmp_path, ("x", "y", "z"), splits)

    return build


def test_a_row_is_told_by_file_and_line(tmp_path: Path) -> None:
    assert listing(tmp_path / "a.txt", "x", "y").place(1) == f"{tmp_path / 'a.txt'}:2"
    assert listing(tmp_path, "x")._replace(lines=None).place(0) == str(tmp_path)


def test_a_query_that_is_listed_twice_is_refused(index: Callable[..., Index]) -> None:
    with pytest.raises(UserError, match=r"query.txt:3: a query is listed twice: got a.jpg, which .* at .*query.txt:1"):
        index(query=("a.jpg", "b.jpg", "a.jpg"))


def test_a_query_in_the_database_is_refused(index: Callable[..., Index]) -> None:
    with pytest.raises(UserError, match=r"database.txt:2: a query is in the database: got b.jpg"):
        index(database=("c.jpg", "b.jpg"))


def test_training_and_database_rows_may_repeat(index: Callable[..., Index]) -> None:
    assert index(train=("c.jpg",) * 3, database=("d.jpg", "d.jpg")).absent() is None


def test_a_picture_that_is_not_there_is_told_with_its_line(index: Callable[..., Index], tmp_path: Path) -> None:
    assert index().absent() is None
    assert index(database=("c.jpg", "gone.jpg")).absent() == (
        f"{tmp_path / 'database.txt'}:2: no such picture: {tmp_path / 'gone.jpg'}"
    )
    with pytest.raises(UserError, match=r"database.txt:2: no such picture: .*gone.jpg"):
        _ = index(database=("c.jpg", "gone.jpg", "d.jpg")).digest


def test_the_digest_follows_names_labels_classes_and_sizes(
    index: Callable[..., Index], tmp_path: Path, picture: Callable[..., None]
) -> None:
    first = index()
    assert first.digest == index().digest
    other_labels = first.splits["train"]._replace(labels=1 - first.splits["train"].labels)
    variants = {
        first.digest,
        index(train=("d.jpg", "d.jpg")).digest,
        index(query=("b.jpg", "a.jpg")).digest,
        Index(tmp_path, ("x", "y", "w"), first.splits).digest,
        Index(tmp_path, first.classes, {**first.splits, "train": other_labels}).digest,
    }
    picture(tmp_path / "d.jpg", 3, (80, 80))
    assert len({*variants, index().digest}) == 6


def test_lines_lose_spaces_a_mark_and_empty_ends(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone \r\n two\n\n \n")
    assert read_lines(tmp_path / "a.txt") == ["one", "two"]


def test_an_empty_line_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    with pytest.raises(UserError, match=r"a.txt:2: an empty line"):
        read_lines(tmp_path / "a.txt")


@pytest.mark.parametrize(("path", "name"), [("a/b.jpg", "a/b.jpg"), (r"a\b.jpg", "a/b.jpg"), ("./b c.jpg", "b c.jpg")])
def test_a_path_is_an_id_with_slashes(path: str, name: str) -> None:
    assert picture_name(path, "a.txt:1") == name


@pytest.mark.parametrize("path", ["/etc/a.jpg", "../a.jpg", "a/../../b.jpg", "", "."])
def test_a_path_out_of_the_folder_is_refused(path: str) -> None:
    with pytest.raises(UserError, match=r"a.txt:7: a picture's path must stay in the dataset's folder: got "):
        picture_name(path, "a.txt:7")


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    absent = stamp(path)
    path.write_text("one")
    first = stamp(path)
    assert first == stamp(path) != absent
    os.utime(path, ns=(1, 1))
    assert stamp(path) != first
