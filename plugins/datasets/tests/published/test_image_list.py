"""Anybody's own lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from retbench_datasets.published.image_list import ImageList

from retbench import OptionError, UserError


@pytest.fixture
def mine(data: Path, lists: Callable[..., None], picture: Callable[..., None]) -> Path:
    for seed, name in enumerate("abcd"):
        picture(data / "mine" / "in" / f"{name}.png", seed)
    lists(data / "mine", "test", ["in/a.png"], [[0, 1]])
    lists(data / "mine", "database", ["in/b.png", "in/c.png", "in/d.png"], [[1, 0], [1, 1], [0, 0]])
    lists(data / "mine", "train", ["in/c.png"], [[1, 1]])
    return data / "mine"


def test_lists_in_a_folder_of_any_name_are_read(mine: Path) -> None:
    dataset = ImageList(folder="mine", size=16)
    assert dataset.missing() is None
    assert dataset.facts().classes == ("class-0", "class-1")
    assert dataset.facts().sizes == {"train": 1, "query": 1, "database": 3}
    (mine / "classes.txt").write_text("sky\nsea\n")
    assert dataset.facts().classes == ("sky", "sea")
    assert dataset.labels("database").tolist() == [[1, 0], [1, 1], [0, 0]]


def test_lists_that_are_not_there_are_told(mine: Path, data: Path) -> None:
    assert (ImageList().missing() or "").startswith(f"{data / 'image-list'}: not there: train_img.txt, ")
    (mine / "test_img.txt").unlink()
    told = ImageList(folder="mine").missing() or ""
    assert told.startswith(f"{mine}: not there: test_img.txt. To get it: list your pictures there")


def test_a_picture_that_is_not_there_is_told(mine: Path) -> None:
    (mine / "in" / "d.png").unlink()
    told = ImageList(folder="mine").missing()
    assert told == f"{mine / 'database_img.txt'}:3: no such picture: {mine / 'in' / 'd.png'}"


@pytest.mark.parametrize("folder", ["/etc", "..", "a/b", "", ".hidden"])
def test_the_folder_is_a_name_and_no_path(folder: str) -> None:
    with pytest.raises(OptionError, match="folder"):
        ImageList.create({"folder": folder})


def test_classes_that_do_not_fit_are_refused(mine: Path) -> None:
    (mine / "classes.txt").write_text("sky\nsea\nland\n")
    with pytest.raises(UserError, match=r"train_label.txt:1: wrong number of labels: got 2, expected 3"):
        ImageList(folder="mine").facts()
