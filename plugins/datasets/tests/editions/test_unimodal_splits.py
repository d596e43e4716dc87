"""Lists built from the labels of the original download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.editions.hash_sampling import draw_uniform
from retbench_datasets.editions.unimodal_splits import build_splits, write_lists
from retbench_datasets.formats.image_label_lists import complete_splits
from retbench_datasets.formats.label_matrix import LabeledImages
from retbench_datasets.images.image_index import read_index

from retbench import UserError

NAMES = tuple(f"{number}.jpg" for number in range(30))
LABELS = np.random.default_rng(0).integers(0, 2, (30, 3), dtype=np.uint8)
ORIGINALS = LabeledImages(NAMES, LABELS)
SIZES = {"train": 8, "query": 5, "database": 25}


def build_missing(root: Path) -> dict[str, str]:
    built = build_splits(root, ORIGINALS, SIZES, draw_uniform)
    list(write_lists(root, built))
    return dict(built.origins)


def test_without_lists_all_splits_are_drawn(tmp_path: Path) -> None:
    assert build_missing(tmp_path) == dict.fromkeys(["train", "query", "database"], "drawn")
    splits = read_index(tmp_path).splits
    assert {split: len(listed.names) for split, listed in splits.items()} == SIZES
    assert {*splits["query"].names, *splits["database"].names} == {*NAMES}
    assert {*splits["train"].names} < {*splits["database"].names}
    assert [NAMES.index(name) for name in splits["database"].names] == sorted(
        NAMES.index(name) for name in splits["database"].names
    )
    for listed in splits.values():
        assert np.array_equal(LABELS[[NAMES.index(name) for name in listed.names]], listed.labels)


def test_published_queries_and_training_rows_are_kept(tmp_path: Path, make_lists: Callable[..., None]) -> None:
    make_lists(tmp_path, "test", NAMES[3:6], LABELS[3:6])
    make_lists(tmp_path, "train", [NAMES[9], NAMES[9]], LABELS[[9, 9]])
    before = (tmp_path / "train_img.txt").read_bytes()
    assert build_missing(tmp_path) == {"database": "rebuilt"}
    splits = read_index(tmp_path).splits
    assert splits["database"].names == (*NAMES[:3], *NAMES[6:])
    assert splits["query"].names == NAMES[3:6]
    assert (tmp_path / "train_img.txt").read_bytes() == before


def test_drawn_queries_are_disjoint_from_existing_lists(tmp_path: Path, make_lists: Callable[..., None]) -> None:
    make_lists(tmp_path, "database", NAMES[:10], LABELS[:10])
    make_lists(tmp_path, "train", NAMES[:2], LABELS[:2])
    assert build_missing(tmp_path) == {"query": "drawn"}
    assert not {*read_index(tmp_path).splits["query"].names} & {*NAMES[:10]}


def test_preparing_again_changes_nothing(tmp_path: Path) -> None:
    build_missing(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert build_missing(tmp_path) == {}
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert list(complete_splits(tmp_path)) == ["train", "query", "database"]


def test_a_few_different_labels_are_reported_and_kept(tmp_path: Path, make_lists: Callable[..., None]) -> None:
    names = NAMES[:2] * 100
    labels = np.tile(LABELS[:2], (100, 1))
    labels[7] = 1 - labels[7]
    make_lists(tmp_path, "train", names, labels)
    built = build_splits(tmp_path, ORIGINALS, SIZES, draw_uniform)
    assert built.remarks == [
        f"{tmp_path / 'train_img.txt'}:8: 1.jpg: 1 of 200 rows differ from the label files; the list's labels are kept"
    ]


def test_lists_in_another_order_of_classes_are_refused(tmp_path: Path, make_lists: Callable[..., None]) -> None:
    make_lists(tmp_path, "test", NAMES[:5], LABELS[:5, ::-1])
    with pytest.raises(
        UserError, match=r"test_img.txt:\d+: .*the list contradicts the label files: got \d of 5 different rows"
    ):
        build_missing(tmp_path)


def test_lists_of_other_images_are_refused(tmp_path: Path, make_lists: Callable[..., None]) -> None:
    make_lists(tmp_path, "test", ["other.jpg"], LABELS[:1])
    with pytest.raises(UserError, match=r"test_img.txt:1: other.jpg: the list contradicts the label files"):
        build_missing(tmp_path)


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    few = LabeledImages(NAMES[:5], LABELS[:5])
    with pytest.raises(UserError, match=r"no image is left for the train split: got 5 labeled images"):
        build_splits(tmp_path, few, SIZES, draw_uniform)
    assert list(tmp_path.iterdir()) == []
