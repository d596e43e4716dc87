"""NUS-WIDE from its label files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.published.nuswide import CLASSES, Nuswide

from retbench import UserError


def write(root: Path, labels: np.ndarray) -> None:
    (root / "ImageList").mkdir(parents=True, exist_ok=True)
    (root / "Groundtruth" / "AllLabels").mkdir(parents=True, exist_ok=True)
    lines = [f"actor\\{number:04d}_{number * 7}.jpg\r\n" for number in range(len(labels))]
    (root / "ImageList" / "Imagelist.txt").write_text("".join(lines))
    for column, name in enumerate(CLASSES):
        text = "".join(f"{value}\n" for value in labels[:, column])
        (root / "Groundtruth" / "AllLabels" / f"Labels_{name}.txt").write_text(text)


@pytest.fixture
def labels() -> np.ndarray:
    labels = (np.random.default_rng(0).random((400, 21)) < 0.15).astype(np.uint8)
    labels[[0, 7]] = 0
    return labels


def test_pictures_with_a_concept_come_in_the_order_of_the_image_list(data: Path, labels: np.ndarray) -> None:
    write(data / "nuswide", labels)
    shown = labels.any(1)
    originals = Nuswide().originals()
    assert np.array_equal(originals.labels, labels[shown])
    assert originals.names[0] == "images/0001_7.jpg"
    assert len(originals.names) == shown.sum() < 400


def test_the_drawn_splits_hold_as_many_of_each_concept(
    data: Path, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Nuswide, "published_sizes", {"train": 42, "query": 21, "database": 300})
    write(data / "nuswide", labels)
    dataset = Nuswide()
    list(dataset.prepare())
    assert dataset.facts().sizes == {"train": 42, "query": 21, "database": int(labels.any(1).sum()) - 21}
    assert dataset.labels("query").sum(0).min() >= 1
    assert dataset.labels("train").sum(0).min() >= 2
    assert "expected 300 database rows" in dataset.caveats(dataset.facts())[0]


def test_a_label_file_of_another_length_is_named(data: Path, labels: np.ndarray) -> None:
    write(data / "nuswide", labels)
    (data / "nuswide" / "Groundtruth" / "AllLabels" / "Labels_sky.txt").write_text("0\n1\n")
    with pytest.raises(UserError, match=r"Labels_sky.txt: it does not fit Imagelist.txt: got 2 lines, expected 400"):
        Nuswide().originals()


def test_a_wrong_value_is_named(data: Path, labels: np.ndarray) -> None:
    write(data / "nuswide", labels)
    (data / "nuswide" / "Groundtruth" / "AllLabels" / "Labels_tree.txt").write_text("0\n2\n")
    with pytest.raises(UserError, match=r"Labels_tree.txt:2: a label must be 0 or 1: got '2'"):
        Nuswide().originals()
