"""Rows of a split, and paths of images as ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.formats.split import Listing, image_id

from retbench import UserError


def listing(source: Path, *names: str) -> Listing:
    return Listing(
        names, np.eye(3, dtype=np.uint8)[[len(name) % 3 for name in names]], source, range(1, len(names) + 1)
    )


def test_a_row_is_told_by_file_and_line(tmp_path: Path) -> None:
    assert listing(tmp_path / "a.txt", "x", "y").place(1) == f"{tmp_path / 'a.txt'}:2"
    assert listing(tmp_path, "x")._replace(lines=None).place(0) == str(tmp_path)


@pytest.mark.parametrize(("path", "name"), [("a/b.jpg", "a/b.jpg"), (r"a\b.jpg", "a/b.jpg"), ("./b c.jpg", "b c.jpg")])
def test_a_path_is_an_id_with_slashes(path: str, name: str) -> None:
    assert image_id(path, "a.txt:1") == name


@pytest.mark.parametrize("path", ["/etc/a.jpg", "../a.jpg", "a/../../b.jpg", "", "."])
def test_a_path_out_of_the_folder_is_refused(path: str) -> None:
    with pytest.raises(UserError, match=r"a.txt:7: a picture's path must stay in the dataset's folder: got "):
        image_id(path, "a.txt:7")
