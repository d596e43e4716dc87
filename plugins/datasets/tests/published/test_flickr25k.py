"""FLICKR-25K from MIRFLICKR's annotation files."""

from __future__ import annotations

from pathlib import Path

import pytest
from retbench_datasets.published.flickr25k import CLASSES, Flickr25k

from retbench import UserError

# The order of the same columns in the lists of DeepHash-pytorch, which is alphabetical, as found by comparing labels.
DEEPHASH = (
    *(7, 31, 17, 35, 16, 12, 25, 9, 28, 14, 0, 5, 29, 20, 34, 33, 22, 4, 13, 8, 15, 2, 30, 21, 32, 10, 6, 37, 1, 19),
    *(24, 26, 36, 3, 23, 18, 27, 11),
)


@pytest.fixture
def annotations(data: Path) -> Path:
    folder = data / "flickr25k" / "mirflickr25k_annotations_v080"
    folder.mkdir(parents=True)
    for name in CLASSES:
        (folder / f"{name}.txt").write_text("25000\n")
    return folder


def test_there_are_24_potential_and_14_relevant_labels() -> None:
    assert len(set(CLASSES)) == 38
    assert sum(name.endswith("_r1") for name in CLASSES) == 14
    assert {name.removesuffix("_r1") for name in CLASSES} <= {*CLASSES}


def test_the_order_of_the_columns_is_that_of_a_second_publication() -> None:
    assert tuple(sorted(CLASSES).index(name) for name in CLASSES) == DEEPHASH


def test_a_label_is_where_its_file_names_the_picture(annotations: Path) -> None:
    (annotations / "sky.txt").write_text("1\r\n3\r\n25000\r\n")
    (annotations / "female.txt").write_text("3\n")
    names, labels = Flickr25k().originals()
    assert names[0] == "mirflickr/im1.jpg"
    assert names[-1] == "mirflickr/im25000.jpg"
    assert labels.shape == (25_000, 38)
    assert [CLASSES[at] for at in labels[2].nonzero()[0]] == ["sky", "female"]
    assert labels[0].sum() == 1
    assert labels[1].sum() == 0
    assert labels[-1].sum() == 37


@pytest.mark.parametrize("line", ["0", "25001", "im7.jpg", "-3"])
def test_a_line_that_is_no_number_of_a_picture_is_named(annotations: Path, line: str) -> None:
    (annotations / "sea.txt").write_text(f"5\n{line}\n")
    with pytest.raises(
        UserError, match=rf"sea.txt:2: a picture's number is expected: got '{line}', expected 1 to 25000"
    ):
        Flickr25k().originals()
