"""NUS-WIDE with tags, from its label and tag files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.published import nuswide_pairs
from retbench_datasets.published.nuswide import CLASSES, Nuswide
from retbench_datasets.published.nuswide_pairs import NuswidePairs

from retbench import UserError

LABELS = (np.random.default_rng(0).random((40, 21)) < 0.1).astype(np.uint8)
TAGS = (np.random.default_rng(1).random((40, 1000)) < 0.01).astype(np.uint8)
LABELS[[3, 20]] = 0
LABELS[5, 0] = 1
TAGS[5] = 0
SHOWN = LABELS.any(1)


@pytest.fixture
def root(data: Path) -> Path:
    """Forty pictures; the fourth and the 21st show no concept, the sixth has no tag."""
    root = data / "nuswide"
    for folder in ("ImageList", "Groundtruth/AllLabels", "NUS_WID_Tags"):
        (root / folder).mkdir(parents=True)
    (root / "ImageList" / "Imagelist.txt").write_text("".join(f"a\\{row:04d}_{row}.jpg\r\n" for row in range(40)))
    for column, name in enumerate(NuswidePairs.classes):
        text = "".join(f"{value}\n" for value in LABELS[:, column])
        (root / "Groundtruth" / "AllLabels" / f"Labels_{name}.txt").write_text(text)
    (root / "NUS_WID_Tags" / "AllTags1k.txt").write_text("".join(" ".join(map(str, row)) + " \n" for row in TAGS))
    return root


@pytest.fixture
def small(root: Path, monkeypatch: pytest.MonkeyPatch) -> Nuswide:
    monkeypatch.setattr(NuswidePairs, "sizes", {"train": 10, "query": 5, "database": int(SHOWN.sum()) - 5})
    return Nuswide(edition="crossmodal")


def test_the_classes_are_those_of_the_other_edition_by_name() -> None:
    assert list(NuswidePairs.classes) == sorted(CLASSES)
    assert len(NuswidePairs.classes) == 21


def test_the_splits_hold_all_pictures() -> None:
    sizes = NuswidePairs.sizes
    assert sizes["query"] + sizes["database"] == 195_834


def test_pictures_with_a_concept_are_kept_with_their_tags_or_without(small: Nuswide) -> None:
    told = list(small.prepare())
    empty = int((TAGS[SHOWN].sum(1) == 0).sum())
    assert empty >= 1
    assert told[0] == f"{small.root}: {SHOWN.sum()} pictures have a label, {empty} of them no tag"
    assert {*small.ids("query"), *small.ids("database")} == {
        f"images/{row:04d}_{row}.jpg" for row in np.flatnonzero(SHOWN)
    }
    for split in ("query", "database"):
        rows = [int(name.rpartition("_")[2].removesuffix(".jpg")) for name in small.ids(split)]
        assert np.array_equal(small.texts(split, range(len(rows))), TAGS[rows])
        assert np.array_equal(small.labels(split), LABELS[rows])
    assert small.facts().text_width == 1000
    assert "images/0005_5.jpg" in {*small.ids("query"), *small.ids("database")}


def test_progress_is_told(small: Nuswide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nuswide_pairs, "STEP", 15)
    assert [line.rpartition(": ")[2] for line in small.prepare()][:2] == ["15 lines read", "30 lines read"]


@pytest.mark.parametrize("rows", [39, 41])
def test_tags_of_another_number_of_pictures_are_refused(small: Nuswide, rows: int) -> None:
    path = small.root / "NUS_WID_Tags" / "AllTags1k.txt"
    path.write_text((" ".join("0" * 1000) + "\n") * rows)
    with pytest.raises(
        UserError, match=rf"AllTags1k.txt: it does not fit Imagelist.txt: got {rows} lines, expected 40"
    ):
        list(small.prepare())
    assert small.missing() is not None


def test_without_the_tags_nothing_is_built(small: Nuswide) -> None:
    path = small.root / "NUS_WID_Tags" / "AllTags1k.txt"
    path.unlink()
    assert list(small.prepare()) == [f"{small.root / 'crossmodal'}: nothing was built: not there: {path}"]
    assert "NUS_WID_Tags.zip" in (small.missing() or "")
    assert not (small.root / "crossmodal").exists()
