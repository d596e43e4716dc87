"""The images of a split, and their ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.formats.listed_images import ListedImages, image_id

from retbench import UserError


def list_images(source: Path, *names: str) -> ListedImages:
    return ListedImages(
        names, np.eye(3, dtype=np.uint8)[[len(name) % 3 for name in names]], source, range(1, len(names) + 1)
    )


def test_a_row_is_located_by_file_and_line(tmp_path: Path) -> None:
    assert list_images(tmp_path / "a.txt", "x", "y").locate(1) == f"{tmp_path / 'a.txt'}:2"
    assert list_images(tmp_path, "x")._replace(lines=None).locate(0) == str(tmp_path)


@pytest.mark.parametrize(("path", "name"), [("a/b.jpg", "a/b.jpg"), (r"a\b.jpg", "a/b.jpg"), ("./b c.jpg", "b c.jpg")])
def test_an_id_is_a_relative_path_with_slashes(path: str, name: str) -> None:
    assert image_id(path, "a.txt:1") == name


@pytest.mark.parametrize("path", ["/etc/a.jpg", "../a.jpg", "a/../../b.jpg", "", "."])
def test_a_path_outside_the_folder_is_refused(path: str) -> None:
    with pytest.raises(
        UserError, match=r"a.txt:7: wrong image path: got .*, expected a path inside the dataset's folder"
    ):
        image_id(path, "a.txt:7")
