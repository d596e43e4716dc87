"""Splits drawn by the sha256 of ids."""

from __future__ import annotations

import numpy as np
from retbench_datasets.editions.hash_sampling import draw_balanced, draw_uniform, hash_order


def label_images(count: int, classes: int = 3) -> dict[str, np.ndarray]:
    labels = np.random.default_rng(0).integers(0, 2, (count, classes), dtype=np.uint8)
    return {f"im{number}.jpg": row for number, row in enumerate(labels)}


def test_the_hash_order_is_pinned() -> None:
    """A failure means that every split drawn so far changes, which must not happen."""
    assert hash_order(["a", "b", "c", "d", "e"], "query") == ["b", "d", "c", "e", "a"]


def test_the_order_depends_on_the_purpose_but_not_on_the_order_of_files() -> None:
    names = list(label_images(50))
    assert hash_order(names[::-1], "query") == hash_order(names, "query")
    assert hash_order(names, "train") != hash_order(names, "query")
    assert sorted(hash_order(names, "train")) == sorted(names)


def test_a_smaller_draw_is_a_prefix_of_a_larger_one() -> None:
    labels = label_images(50)
    assert draw_uniform(labels, "query", 20)[:7] == draw_uniform(labels, "query", 7)
    assert len(draw_uniform(labels, "query", 99)) == 50


def test_a_balanced_draw_has_equally_many_images_per_class() -> None:
    labels = label_images(200)
    drawn = draw_balanced(labels, "query", 30)
    assert len(set(drawn)) == 30
    for column in range(3):
        chosen = drawn[10 * column : 10 * (column + 1)]
        assert all(labels[name][column] for name in chosen)


def test_a_balanced_draw_takes_the_smallest_digests() -> None:
    labels = label_images(200)
    first = [name for name in hash_order(labels, "train") if labels[name][0]]
    assert draw_balanced(labels, "train", 30)[:10] == first[:10]


def test_a_rare_class_gives_fewer_images() -> None:
    labels = {f"{number}.jpg": np.array([1, number == 0], dtype=np.uint8) for number in range(10)}
    assert len(draw_balanced(labels, "query", 8)) <= 5
    assert draw_balanced({}, "query", 8) == []
