"""Draws of the targets that networks are trained on."""

from __future__ import annotations

import torch
from retbench_attacks.prototypes.target_vectors import distinct_label_vectors, draw_targets

from retbench import Noise

LABELS = torch.tensor([[1, 0], [1, 0], [0, 0], [1, 0], [0, 1]], dtype=torch.uint8)


def test_distinct_vectors_include_the_all_zero_vector() -> None:
    assert sorted(distinct_label_vectors(LABELS).tolist()) == [[0, 0], [0, 1], [1, 0]]


def test_targets_are_drawn_uniformly_from_the_distinct_vectors() -> None:
    vectors = distinct_label_vectors(LABELS)
    drawn = draw_targets(vectors, 3000, Noise(0, ("fit",)), step=0)
    counts = (drawn[:, None] == vectors).all(dim=2).sum(dim=0).double()
    assert counts.sum() == 3000
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 13.8, "chi-square of 2 degrees: one seed in a thousand"


def test_draw_depends_only_on_the_step() -> None:
    vectors, noise = torch.eye(50), Noise(0, ("fit",))
    first, again, other = (draw_targets(vectors, 20, noise, step) for step in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
