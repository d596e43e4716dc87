"""The three splits of a folder of images."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.formats.listed_images import ListedImages
from retbench_datasets.images.image_index import ImageIndex, read_index

from retbench import UserError


def list_images(source: Path, *names: str) -> ListedImages:
    return ListedImages(
        names, np.eye(3, dtype=np.uint8)[[len(name) % 3 for name in names]], source, range(1, len(names) + 1)
    )


@pytest.fixture
def index(tmp_path: Path, make_image: Callable[..., None]) -> Callable[..., ImageIndex]:
    """Return a function that builds an index of images a to f, which exist; the arguments replace splits."""
    for seed, name in enumerate("abcdef"):
        make_image(tmp_path / f"{name}.jpg", seed)

    def build(**replaced: tuple[str, ...]) -> ImageIndex:
        names = {"train": ("c.jpg", "c.jpg"), "query": ("a.jpg", "b.jpg"), "database": ("c.jpg", "d.jpg"), **replaced}
        splits = {split: list_images(tmp_path / f"{split}.txt", *paths) for split, paths in names.items()}
        return ImageIndex(tmp_path, ("x", "y", "z"), splits)

    return build


def test_a_repeated_query_is_refused(index: Callable[..., ImageIndex]) -> None:
    with pytest.raises(UserError, match=r"query.txt:3: a query is listed twice: got a.jpg, a query at .*query.txt:1"):
        index(query=("a.jpg", "b.jpg", "a.jpg"))


def test_a_query_in_the_database_is_refused(index: Callable[..., ImageIndex]) -> None:
    with pytest.raises(UserError, match=r"database.txt:2: a query is also in the database: got b.jpg"):
        index(database=("c.jpg", "b.jpg"))


def test_training_and_database_rows_may_repeat(index: Callable[..., ImageIndex]) -> None:
    assert index(train=("c.jpg",) * 3, database=("d.jpg", "d.jpg")).missing_image() is None


def test_a_missing_image_is_reported_with_its_line(index: Callable[..., ImageIndex], tmp_path: Path) -> None:
    assert index().missing_image() is None
    assert index(database=("c.jpg", "gone.jpg")).missing_image() == (
        f"{tmp_path / 'database.txt'}:2: no such image: {tmp_path / 'gone.jpg'}"
    )
    with pytest.raises(UserError, match=r"database.txt:2: no such image: .*gone.jpg"):
        _ = index(database=("c.jpg", "gone.jpg", "d.jpg")).digest("content")


def test_an_image_that_cannot_be_read_is_reported_with_its_line(
    index: Callable[..., ImageIndex], tmp_path: Path
) -> None:
    (tmp_path / "folder.jpg").mkdir()
    unreadable = index(database=("c.jpg", "folder.jpg", "d.jpg"))
    problem = r"database.txt:2: the image .*folder.jpg cannot be read: Is a directory"
    for call in (lambda: unreadable.digest("content"), lambda: unreadable.files("database", "content")):
        with pytest.raises(UserError, match=problem):
            call()


def test_the_files_of_links_and_copies_are_told_apart(
    index: Callable[..., ImageIndex], tmp_path: Path, make_image: Callable[..., None]
) -> None:
    (tmp_path / "link.jpg").symlink_to(tmp_path / "c.jpg")
    (tmp_path / "copy.jpg").write_bytes((tmp_path / "c.jpg").read_bytes())
    linked = index(database=("c.jpg", "link.jpg", "copy.jpg"))
    original, link, copy = linked.files("database", "content")
    assert link == original
    assert copy.file != original.file
    assert copy.content == original.content == sha256((tmp_path / "c.jpg").read_bytes()).hexdigest()
    assert linked.files("database", "size") == [image._replace(content=None) for image in (original, link, copy)]


def test_the_digest_depends_on_names_labels_classes_and_file_sizes(
    index: Callable[..., ImageIndex], tmp_path: Path, make_image: Callable[..., None]
) -> None:
    first = index()
    assert first.digest("content") == index().digest("content")
    other_labels = first.splits["train"]._replace(labels=1 - first.splits["train"].labels)
    variants = {
        first.digest("content"),
        index(train=("d.jpg", "d.jpg")).digest("content"),
        index(query=("b.jpg", "a.jpg")).digest("content"),
        ImageIndex(tmp_path, ("x", "y", "w"), first.splits).digest("content"),
        ImageIndex(tmp_path, first.classes, {**first.splits, "train": other_labels}).digest("content"),
    }
    make_image(tmp_path / "d.jpg", 3, (80, 80))
    assert len({*variants, index().digest("content")}) == 6


@pytest.fixture
def folder(tmp_path: Path, make_lists: Callable[..., None]) -> Path:
    make_lists(tmp_path, "train", ["c.jpg", "c.jpg"], [[1, 0], [1, 0]])
    make_lists(tmp_path, "test", ["a.jpg", "b.jpg"], [[0, 1], [0, 0]])
    make_lists(tmp_path, "database", ["c.jpg", "d.jpg"], [[1, 0], [1, 1]])
    return tmp_path


def test_the_three_splits_are_read(folder: Path) -> None:
    index = read_index(folder, ("x", "y"))
    assert index.classes == ("x", "y")
    assert index.splits["train"].names == ("c.jpg", "c.jpg")
    assert index.splits["query"].labels.tolist() == [[0, 1], [0, 0]]
    assert index.splits["database"].locate(1) == f"{folder / 'database_img.txt'}:2"


def test_classes_come_from_their_file_or_are_numbered(folder: Path) -> None:
    assert read_index(folder).classes == ("class-0", "class-1")
    (folder / "classes.txt").write_text("sky\nsea\n")
    assert read_index(folder).classes == ("sky", "sea")


def test_an_index_is_cached_until_a_list_changes(folder: Path, make_lists: Callable[..., None]) -> None:
    first = read_index(folder)
    assert read_index(folder) is first
    make_lists(folder, "test", ["e.jpg"], [[0, 1]])
    assert read_index(folder).splits["query"].names == ("e.jpg",)


def test_lists_of_different_lengths_are_refused(folder: Path, make_lists: Callable[..., None]) -> None:
    make_lists(folder, "test", ["a.jpg", "b.jpg", "e.jpg"], [[0, 1], [1, 1]])
    with pytest.raises(UserError, match=r"test_label.txt:3: it does not fit test_img.txt: got 2 lines, expected 3"):
        read_index(folder)


def test_a_wrong_number_of_label_columns_is_refused(folder: Path, make_lists: Callable[..., None]) -> None:
    with pytest.raises(UserError, match=r"train_label.txt:1: wrong number of labels: got 2, expected 3"):
        read_index(folder, ("x", "y", "z"))
    make_lists(folder, "database", ["c.jpg"], [[1, 0, 0]])
    with pytest.raises(UserError, match=r"database_label.txt:1: wrong number of labels: got 3, expected 2"):
        read_index(folder)


def test_an_empty_line_in_an_image_list_is_reported(folder: Path) -> None:
    (folder / "test_img.txt").write_text("a.jpg\n\nb.jpg\n")
    with pytest.raises(UserError, match=r"test_img.txt:2: an empty line"):
        read_index(folder)


def test_a_path_outside_the_folder_is_reported_with_its_line(folder: Path) -> None:
    (folder / "test_img.txt").write_text("a.jpg\n/home/b.jpg\n")
    with pytest.raises(UserError, match=r"test_img.txt:2: wrong image path: got '/home/b.jpg'"):
        read_index(folder)
