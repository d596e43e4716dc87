"""NUS-WIDE from its label files, and with tags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.formats.image_label_lists import complete_splits, missing_lists, read_split
from retbench_datasets.published import nuswide
from retbench_datasets.published.nuswide import CLASSES, Nuswide, NuswideSource

from retbench import UserError

REAL = Path(__file__).parents[5] / "shared" / "data" / "nuswide"


def write_download(root: Path, labels: np.ndarray) -> None:
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


def test_images_with_a_concept_keep_the_order_of_the_image_list(data: Path, labels: np.ndarray) -> None:
    write_download(data / "nuswide", labels)
    labeled = labels.any(1)
    originals = Nuswide().labeled_images()
    assert np.array_equal(originals.labels, labels[labeled])
    assert originals.names[0] == "images/0001_7.jpg"
    assert len(originals.names) == labeled.sum() < 400


def test_drawn_splits_have_equally_many_images_per_concept(
    data: Path, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Nuswide, "published_sizes", {"train": 42, "query": 21, "database": 300})
    write_download(data / "nuswide", labels)
    dataset = Nuswide()
    list(dataset.prepare())
    assert dataset.facts().sizes == {"train": 42, "query": 21, "database": int(labels.any(1).sum()) - 21}
    assert dataset.labels("query").sum(0).min() >= 1
    assert dataset.labels("train").sum(0).min() >= 2
    assert "expected 300 database rows" in dataset.caveats(dataset.facts())[0]


def test_a_label_file_of_another_length_is_reported(data: Path, labels: np.ndarray) -> None:
    write_download(data / "nuswide", labels)
    (data / "nuswide" / "Groundtruth" / "AllLabels" / "Labels_sky.txt").write_text("0\n1\n")
    with pytest.raises(UserError, match=r"Labels_sky.txt: it does not fit Imagelist.txt: got 2 lines, expected 400"):
        Nuswide().labeled_images()


def test_a_wrong_label_is_reported(data: Path, labels: np.ndarray) -> None:
    write_download(data / "nuswide", labels)
    (data / "nuswide" / "Groundtruth" / "AllLabels" / "Labels_tree.txt").write_text("0\n2\n")
    with pytest.raises(UserError, match=r"Labels_tree.txt:2: a label must be 0 or 1: got '2'"):
        Nuswide().labeled_images()


LABELS = (np.random.default_rng(0).random((40, 21)) < 0.1).astype(np.uint8)
TAGS = (np.random.default_rng(1).random((40, 1000)) < 0.01).astype(np.uint8)
LABELS[[3, 20]] = 0
LABELS[5, 0] = 1
TAGS[5] = 0
LABELED = LABELS.any(1)


@pytest.fixture
def root(data: Path) -> Path:
    """Return a download of forty images; the fourth and the 21st have no concept, the sixth has no tag."""
    root = data / "nuswide"
    for folder in ("ImageList", "Groundtruth/AllLabels", "NUS_WID_Tags"):
        (root / folder).mkdir(parents=True)
    (root / "ImageList" / "Imagelist.txt").write_text("".join(f"a\\{row:04d}_{row}.jpg\r\n" for row in range(40)))
    for column, name in enumerate(NuswideSource.classes):
        text = "".join(f"{value}\n" for value in LABELS[:, column])
        (root / "Groundtruth" / "AllLabels" / f"Labels_{name}.txt").write_text(text)
    (root / "NUS_WID_Tags" / "AllTags1k.txt").write_text("".join(" ".join(map(str, row)) + " \n" for row in TAGS))
    return root


@pytest.fixture
def small(root: Path, monkeypatch: pytest.MonkeyPatch) -> Nuswide:
    monkeypatch.setattr(NuswideSource, "sizes", {"train": 10, "query": 5, "database": int(LABELED.sum()) - 5})
    return Nuswide(edition="crossmodal")


def test_the_classes_are_those_of_the_unimodal_edition_by_name() -> None:
    assert list(NuswideSource.classes) == sorted(CLASSES)
    assert len(NuswideSource.classes) == 21


def test_the_splits_contain_all_images() -> None:
    sizes = NuswideSource.sizes
    assert sizes["query"] + sizes["database"] == 195_834


def test_images_with_a_concept_are_kept_with_or_without_tags(small: Nuswide) -> None:
    lines = list(small.prepare())
    empty = int((TAGS[LABELED].sum(1) == 0).sum())
    assert empty >= 1
    assert lines[0] == f"{small.root}: {LABELED.sum()} images have a label, {empty} of them no tag"
    assert {*small.ids("query"), *small.ids("database")} == {
        f"images/{row:04d}_{row}.jpg" for row in np.flatnonzero(LABELED)
    }
    for split in ("query", "database"):
        rows = [int(name.rpartition("_")[2].removesuffix(".jpg")) for name in small.ids(split)]
        assert np.array_equal(small.texts(split, range(len(rows))), TAGS[rows])
        assert np.array_equal(small.labels(split), LABELS[rows])
    assert small.facts().text_width == 1000
    assert "images/0005_5.jpg" in {*small.ids("query"), *small.ids("database")}


def test_progress_is_reported(small: Nuswide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nuswide, "PROGRESS_STEP", 15)
    assert [line.rpartition(": ")[2] for line in small.prepare()][:2] == ["15 lines read", "30 lines read"]


@pytest.mark.parametrize("rows", [39, 41])
def test_tags_of_another_number_of_images_are_refused(small: Nuswide, rows: int) -> None:
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
    assert list(small.prepare()) == [f"{small.root / 'crossmodal'}: nothing was built: missing: {path}"]
    assert "NUS_WID_Tags.zip" in (small.missing() or "")
    assert not (small.root / "crossmodal").exists()


@pytest.mark.skipif(not REAL.is_dir(), reason="the published lists are not available")
def test_the_published_nuswide_lists_are_read() -> None:
    splits = {split: read_split(REAL, split, len(CLASSES)) for split in complete_splits(REAL)}
    assert {split: len(listed.names) for split, listed in splits.items()} == {"train": 10_500, "query": 2100}
    assert all(listed.labels.any(1).all() for listed in splits.values())
    assert splits["train"].labels.sum(0).min() >= 500
    assert splits["query"].labels.sum(0).min() >= 100
    assert not {*splits["train"].names} & {*splits["query"].names}
    assert len({row.tobytes() for row in splits["train"].labels}) == 1683
    assert splits["query"].names[0] == "images/0222_335192179.jpg"
    assert missing_lists(REAL) == ["database_img.txt", "database_label.txt"]


@pytest.mark.skipif(not REAL.is_dir(), reason="the published lists are not available")
def test_the_nuswide_columns_co_occur_as_their_names_suggest() -> None:
    labels = read_split(REAL, "train", len(CLASSES)).labels.astype(bool)
    column = {name: labels[:, index] for index, name in enumerate(CLASSES)}
    for inner, outer, share in (
        *(("lake", "water", 0.8), ("ocean", "water", 0.7), ("beach", "water", 0.7), ("beach", "ocean", 0.5)),
        *(("sunset", "sky", 0.8), ("flowers", "plants", 0.5), ("clouds", "sky", 0.8), ("reflection", "water", 0.7)),
    ):
        assert (column[inner] & column[outer]).sum() / column[inner].sum() > share
    for first, second in (("snow", "mountain"), ("vehicle", "road"), ("tree", "grass"), ("buildings", "window")):
        others = [column[name] for name in ("animal", "person", "flowers", "reflection")]
        together = (column[first] & column[second]).sum()
        assert all((column[first] & other).sum() < together for other in others)
