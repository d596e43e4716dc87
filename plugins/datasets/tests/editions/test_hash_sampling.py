"""Splits drawn by the sha256 of ids."""

from __future__ import annotations

import numpy as np
from retbench_datasets.editions.hash_sampling import draw_any, draw_balanced, hash_order


def pictures(count: int, classes: int = 3) -> dict[str, np.ndarray]:
    labels = np.random.default_rng(0).integers(0, 2, (count, classes), dtype=np.uint8)
    return {f"im{number}.jpg": row for number, row in enumerate(labels)}


def test_the_order_is_the_one_that_was_published() -> None:
    """When this fails, every split drawn so far changes: it must not."""
    assert hash_order(["a", "b", "c", "d", "e"], "query") == ["b", "d", "c", "e", "a"]


def test_the_order_of_files_changes_nothing_and_the_purpose_does() -> None:
    names = list(pictures(50))
    assert hash_order(names[::-1], "query") == hash_order(names, "query")
    assert hash_order(names, "train") != hash_order(names, "query")
    assert sorted(hash_order(names, "train")) == sorted(names)


def test_a_smaller_draw_is_the_start_of_a_larger_one() -> None:
    labels = pictures(50)
    assert draw_any(labels, "query", 20)[:7] == draw_any(labels, "query", 7)
    assert len(draw_any(labels, "query", 99)) == 50


def test_a_balanced_draw_holds_as_many_of_each_class() -> None:
    labels = pictures(200)
    drawn = draw_balanced(labels, "query", 30)
    assert len(set(drawn)) == 30
    for column in range(3):
        chosen = drawn[10 * column : 10 * (column + 1)]
        assert all(labels[name][column] for name in chosen)


def test_a_balanced_draw_prefers_the_smallest_digests() -> None:
    labels = pictures(200)
    first = [name for name in hash_order(labels, "train") if labels[name][0]]
    assert draw_balanced(labels, "train", 30)[:10] == first[:10]


def test_a_rare_class_gives_what_it_has() -> None:
    labels = {f"{at}.jpg": np.array([1, at == 0], dtype=np.uint8) for at in range(10)}
    assert len(draw_balanced(labels, "query", 8)) <= 5
    assert draw_balanced({}, "query", 8) == []
