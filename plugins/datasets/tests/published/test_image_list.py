"""The user's own images, in lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from retbench_datasets.published.image_list import ImageList

from retbench import OptionError, UserError


@pytest.fixture
def mine(data: Path, make_lists: Callable[..., None], make_image: Callable[..., None]) -> Path:
    for seed, name in enumerate("abcd"):
        make_image(data / "mine" / "in" / f"{name}.png", seed)
    make_lists(data / "mine", "test", ["in/a.png"], [[0, 1]])
    make_lists(data / "mine", "database", ["in/b.png", "in/c.png", "in/d.png"], [[1, 0], [1, 1], [0, 0]])
    make_lists(data / "mine", "train", ["in/c.png"], [[1, 1]])
    return data / "mine"


def test_lists_are_read_from_the_folder_option(mine: Path) -> None:
    dataset = ImageList(folder="mine", size=16)
    assert dataset.missing() is None
    assert dataset.facts().classes == ("class-0", "class-1")
    assert dataset.facts().sizes == {"train": 1, "query": 1, "database": 3}
    (mine / "classes.txt").write_text("sky\nsea\n")
    assert dataset.facts().classes == ("sky", "sea")
    assert dataset.labels("database").tolist() == [[1, 0], [1, 1], [0, 0]]


def test_missing_lists_are_reported(mine: Path, data: Path) -> None:
    assert (ImageList().missing() or "").startswith(f"{data / 'image-list'}: missing: train_img.txt, ")
    (mine / "test_img.txt").unlink()
    message = ImageList(folder="mine").missing() or ""
    assert message.startswith(f"{mine}: missing: test_img.txt. To get it: list your images in")


def test_a_missing_image_is_reported(mine: Path) -> None:
    (mine / "in" / "d.png").unlink()
    message = ImageList(folder="mine").missing()
    assert message == f"{mine / 'database_img.txt'}:3: no such image: {mine / 'in' / 'd.png'}"


@pytest.mark.parametrize("folder", ["/etc", "..", "a/b", "", ".hidden"])
def test_the_folder_option_is_a_name_not_a_path(folder: str) -> None:
    with pytest.raises(OptionError, match="folder"):
        ImageList.create({"folder": folder})


def test_a_classes_file_of_another_length_is_refused(mine: Path) -> None:
    (mine / "classes.txt").write_text("sky\nsea\nland\n")
    with pytest.raises(UserError, match=r"train_label.txt:1: wrong number of labels: got 2, expected 3"):
        ImageList(folder="mine").facts()
