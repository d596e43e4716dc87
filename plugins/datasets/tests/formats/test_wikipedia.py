"""The Wikipedia dataset's lists and features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from retbench_datasets.formats.wikipedia import features_path, list_path, read_official_splits
from scipy.io import savemat

from retbench import UserError

CLASSES = ("art", "biology", "geography")
TOPICS = np.random.default_rng(0).dirichlet(np.ones(10), 5)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a download of two test rows and three training rows, with the image features that are not read."""
    list_path(tmp_path, "test").write_text("t1-1\ti1\t1\r\nt2-1\ti2\t3\r\n")
    list_path(tmp_path, "train").write_text("t3-1\ti3\t2\nt4-1\ti4\t2\nt5-1\ti5\t1\n")
    sifts = np.zeros((5, 128))
    matrices = {"T_te": TOPICS[:2], "T_tr": TOPICS[2:], "I_te": sifts[:2], "I_tr": sifts[2:]}
    savemat(features_path(tmp_path), matrices)
    return tmp_path


def test_a_row_has_its_image_class_and_topics(root: Path) -> None:
    splits = read_official_splits(root, CLASSES, 10)
    test, train = splits["test"], splits["train"]
    assert test.names == ("images/art/i1.jpg", "images/geography/i2.jpg")
    assert train.names == ("images/biology/i3.jpg", "images/biology/i4.jpg", "images/art/i5.jpg")
    assert test.labels.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert train.labels.tolist() == [[0, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert test.labels.dtype == np.uint8
    assert np.array_equal(np.concatenate([test.texts, train.texts]), TOPICS.astype(np.float32))
    assert test.texts.dtype == np.float32


def test_a_list_longer_than_its_texts_is_refused(root: Path) -> None:
    with list_path(root, "train").open("a") as stream:
        stream.write("t6-1\ti6\t1\n")
    with pytest.raises(
        UserError,
        match=r"raw_features.mat: T_tr: wrong shape: got \(3, 10\), expected \(4, 10\), one row per line of train",
    ):
        read_official_splits(root, CLASSES, 10)


@pytest.mark.parametrize("number", ["0", "4", "-1", "art"])
def test_a_wrong_class_number_is_reported(root: Path, number: str) -> None:
    list_path(root, "test").write_text(f"t1-1\ti1\t1\nt2-1\ti2\t{number}\n")
    with pytest.raises(
        UserError, match=rf"testset_txt_img_cat.list:2: wrong class number: got '{number}', expected 1 to 3"
    ):
        read_official_splits(root, CLASSES, 10)


@pytest.mark.parametrize("line", ["t1-1 i1 1", "t1-1\ti1", "t1-1\ti1\t1\t1"])
def test_a_malformed_line_is_reported(root: Path, line: str) -> None:
    list_path(root, "test").write_text(f"{line}\nt2-1\ti2\t1\n")
    with pytest.raises(
        UserError, match=r"testset_txt_img_cat.list:1: wrong line: got .*, expected text, image and class"
    ):
        read_official_splits(root, CLASSES, 10)


def test_features_without_texts_are_refused(root: Path) -> None:
    savemat(features_path(root), {"T_te": TOPICS[:2]})
    with pytest.raises(UserError, match=r"raw_features.mat: .*T_tr"):
        read_official_splits(root, CLASSES, 10)


@pytest.mark.parametrize(
    ("matrix", "problem"),
    [
        (TOPICS[2:, :9], r"got \(3, 9\), expected \(3, 10\), one row per line of trainset_txt_img_cat.list$"),
        (TOPICS[2:].T, r"got \(10, 3\), expected \(3, 10\), .*; it is transposed$"),
        (TOPICS[2:4], r"got \(2, 10\), expected \(3, 10\), "),
        (np.ones((3, 10, 2)), r"got \(3, 10, 2\), expected \(3, 10\), "),
    ],
)
def test_a_matrix_of_a_wrong_shape_is_refused(root: Path, matrix: Any, problem: str) -> None:
    savemat(features_path(root), {"T_te": TOPICS[:2], "T_tr": matrix})
    with pytest.raises(UserError, match=rf"raw_features.mat: T_tr: wrong shape: {problem}"):
        read_official_splits(root, CLASSES, 10)


@pytest.mark.parametrize(("number", "printed"), [(1e39, "1e\\+39"), (np.inf, "inf"), (np.nan, "nan")])
def test_a_number_beyond_float32_is_refused(root: Path, number: float, printed: str) -> None:
    topics = TOPICS[2:].copy()
    topics[1, 4] = number
    savemat(features_path(root), {"T_te": TOPICS[:2], "T_tr": topics})
    with pytest.raises(
        UserError, match=rf"raw_features.mat: T_tr: row 1: a text must be finite in float32: got {printed}$"
    ):
        read_official_splits(root, CLASSES, 10)
