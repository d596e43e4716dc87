"""The splits of a cross-modal edition."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.editions.crossmodal_source import ImageTextPairs
from retbench_datasets.editions.crossmodal_splits import edition_files, order_rows, split_rows, write_edition
from retbench_datasets.editions.text_table import read_text_tables
from retbench_datasets.images.image_index import read_index

from retbench import SPLITS, UserError

NAMES = tuple(f"images/{number}.jpg" for number in range(12))
SIZES = {"train": 3, "query": 4, "database": 8}


def sort_by_hash(names: tuple[str, ...]) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(f"crossmodal/{name}".encode()).hexdigest())


def test_drawn_rows_are_ordered_by_the_sha256_of_their_paths() -> None:
    rows = order_rows(NAMES, "drawn", 4)
    assert [NAMES[row] for row in rows] == sort_by_hash(NAMES)
    assert sort_by_hash(NAMES) != [*NAMES]


def test_the_draw_does_not_depend_on_the_order_of_the_source() -> None:
    reverse = NAMES[::-1]
    assert [reverse[row] for row in order_rows(reverse, "drawn", 4)] == sort_by_hash(NAMES)


def test_official_queries_come_first_then_the_rest_each_in_hash_order() -> None:
    rows = order_rows(NAMES, "official", 4)
    assert [NAMES[row] for row in rows] == [*sort_by_hash(NAMES[:4]), *sort_by_hash(NAMES[4:])]


def test_published_rows_keep_their_order() -> None:
    assert order_rows(NAMES, "published", 4).tolist() == [*range(12)]


def test_a_repeated_image_is_reported() -> None:
    with pytest.raises(UserError, match=r"b.jpg: the image is listed twice"):
        order_rows(("a.jpg", "b.jpg", "b.jpg"), "published", 1)


def test_queries_come_first_and_training_rows_begin_the_database(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(12)
    rows = split_rows(order, SIZES, tmp_path)
    assert {split: chosen.tolist() for split, chosen in rows.items()} == {
        "train": order[4:7].tolist(),
        "query": order[:4].tolist(),
        "database": order[4:].tolist(),
    }


@pytest.mark.parametrize("rows", [0, 11, 13])
def test_a_wrong_number_of_rows_is_refused(tmp_path: Path, rows: int) -> None:
    with pytest.raises(
        UserError,
        match=rf"wrong number of images with labels and texts: got {rows}, expected 12: 4 queries and a database "
        r"of 8; .*write the lists yourself",
    ):
        split_rows(np.arange(rows), SIZES, tmp_path)


def test_lists_texts_and_record_match_the_rows_of_each_split(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (12, 5), dtype=np.uint8)
    pairs = ImageTextPairs(NAMES, labels, random.random((12, 3), dtype=np.float32))
    rows = split_rows(order_rows(NAMES, "drawn", 4), SIZES, tmp_path)
    (tmp_path / "draft").mkdir()
    lines = [*write_edition(tmp_path, tmp_path / "draft", pairs, rows, {"rows": "drawn"})]
    assert lines[0] == f"{tmp_path}: train_img.txt, train_label.txt, train_text.npy, 3 rows"
    index = read_index(tmp_path, tuple("abcde"))
    for split in SPLITS:
        assert index.splits[split].names == tuple(NAMES[row] for row in rows[split])
        assert np.array_equal(index.splits[split].labels, labels[rows[split]])
        texts = read_text_tables(tmp_path, index)[split].rows(range(len(rows[split])))
        assert np.array_equal(texts, pairs.texts[rows[split]])
    record = json.loads((tmp_path / "prepared.json").read_text())
    assert record["rows"] == "drawn"
    assert record["files"] == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in edition_files(tmp_path)
    }
    assert [*(tmp_path / "draft").iterdir()] == []


def test_a_non_finite_text_leaves_no_list(tmp_path: Path) -> None:
    texts = np.full((12, 2), np.nan, dtype=np.float32)
    rows = split_rows(np.arange(12), SIZES, tmp_path)
    (tmp_path / "draft").mkdir()
    with pytest.raises(UserError, match="must be finite: got nan"):
        list(
            write_edition(
                tmp_path, tmp_path / "draft", ImageTextPairs(NAMES, np.ones((12, 1), np.uint8), texts), rows, {}
            )
        )
    assert [path.name for path in tmp_path.iterdir()] == ["draft"]
