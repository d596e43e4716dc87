"""The Wikipedia dataset from its original download."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.formats.wikipedia import features_path, list_path
from retbench_datasets.published.wikipedia import Wikipedia, WikipediaSource
from scipy.io import savemat

from retbench import UserError

TOPICS = np.random.default_rng(0).dirichlet(np.ones(10), 12).astype(np.float32)
NAMES = [f"images/{WikipediaSource.classes[row % 10]}/i{row}.jpg" for row in range(12)]


@pytest.fixture
def root(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a download of four official queries and eight training rows."""
    monkeypatch.setattr(WikipediaSource, "sizes", {"train": 8, "query": 4, "database": 8})
    root = data / "wikipedia"
    root.mkdir()
    for split, rows in (("test", range(4)), ("train", range(4, 12))):
        list_path(root, split).write_text("".join(f"t{row}-1\ti{row}\t{row % 10 + 1}\n" for row in rows))
    savemat(features_path(root), {"T_te": TOPICS[:4], "T_tr": TOPICS[4:]})
    return root


def sort_by_hash(names: list[str]) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(f"crossmodal/{name}".encode()).hexdigest())


def test_the_splits_are_the_official_ones_in_hash_order(root: Path) -> None:
    dataset = Wikipedia()
    list(dataset.prepare())
    assert list(dataset.ids("query")) == sort_by_hash(NAMES[:4])
    assert list(dataset.ids("database")) == list(dataset.ids("train")) == sort_by_hash(NAMES[4:])
    for split in ("query", "database"):
        rows = [NAMES.index(name) for name in dataset.ids(split)]
        assert np.array_equal(dataset.texts(split, range(len(rows))), TOPICS[rows])
        assert dataset.labels(split).argmax(1).tolist() == [row % 10 for row in rows]
    assert dataset.caveats(dataset.facts()) == ()


def test_a_wrong_number_of_queries_is_refused(root: Path) -> None:
    list_path(root, "test").write_text("t0-1\ti0\t1\n")
    savemat(features_path(root), {"T_te": TOPICS[:1], "T_tr": TOPICS[4:]})
    with pytest.raises(
        UserError, match=r"testset_txt_img_cat.list: wrong number of official queries: got 1, expected 4"
    ):
        list(Wikipedia().prepare())


def test_the_published_sizes_are_pinned() -> None:
    assert WikipediaSource.sizes == {"train": 2173, "query": 693, "database": 2173}
    assert len(WikipediaSource.classes) == WikipediaSource.text_width == 10
    assert list(WikipediaSource.classes) == sorted(WikipediaSource.classes)


def test_the_download_steps_are_reported(data: Path) -> None:
    message = Wikipedia().missing() or ""
    for part in ("wikipedia_dataset.zip", "raw_features.mat", "run `retbench datasets prepare wikipedia`", "License:"):
        assert part in message
