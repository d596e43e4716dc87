"""Anchor codes: the drawn candidates and their majority."""

from __future__ import annotations

import pytest
import torch
from retbench_attacks.iterative.anchor import compute_majority_codes
from torch import Tensor

ONE = torch.ones(1, 1, dtype=torch.uint8)


def draw_uniform(rows: int, votes: int) -> Tensor:
    return torch.rand(rows, votes, generator=torch.Generator().manual_seed(0))


def one_hot_codes(items: int) -> Tensor:
    """Return codes with +1 only in bit i of item i, so that an anchor shows which items were drawn."""
    return (2 * torch.eye(items) - 1).to(torch.int8)


def anchors_of_single_class(count: int, items: int, votes: int, replacement: bool) -> Tensor:
    """Return the anchors of `count` targets, each from `votes` of `items` items, which all have the same labels."""
    labels = ONE.expand(items, 1)
    return compute_majority_codes(
        ONE.expand(count, 1), labels, one_hot_codes(items), draw_uniform(count, votes), replacement
    )


def test_anchor_is_the_majority_of_each_bit() -> None:
    codes = torch.tensor([[1, 1, -1], [1, -1, -1], [-1, -1, -1]], dtype=torch.int8)
    anchor = compute_majority_codes(ONE, ONE.expand(3, 1), codes, draw_uniform(1, 3), replacement=False)
    assert anchor.tolist() == [[1, -1, -1]]
    assert anchor.dtype == torch.int8


def test_a_tie_becomes_plus_one() -> None:
    codes = torch.tensor([[1, -1], [-1, 1]], dtype=torch.int8)
    assert compute_majority_codes(ONE, ONE.expand(2, 1), codes, draw_uniform(1, 2), replacement=False).tolist() == [
        [1, 1]
    ]


def test_fewer_candidates_than_votes_all_vote_once() -> None:
    codes = torch.tensor([[1, -1], [-1, -1], [-1, 1]], dtype=torch.int8)
    anchors = compute_majority_codes(ONE.expand(50, 1), ONE.expand(3, 1), codes, draw_uniform(50, 9), replacement=False)
    assert anchors.tolist() == [[-1, -1]] * 50


@pytest.mark.parametrize("replacement", [True, False])
def test_only_items_with_exactly_the_targets_labels_vote(replacement: bool) -> None:
    labels = torch.tensor([[1, 0], [0, 1], [1, 0], [1, 1], [0, 0]], dtype=torch.uint8)
    codes = torch.tensor([[1, 1], [1, -1], [1, 1], [-1, 1], [-1, -1]], dtype=torch.int8)
    targets = torch.tensor([[1, 1], [0, 1], [1, 0]], dtype=torch.uint8)
    anchors = compute_majority_codes(targets, labels, codes, draw_uniform(3, 9), replacement)
    assert anchors.tolist() == [[-1, 1], [1, -1], [1, 1]]


@pytest.mark.parametrize("replacement", [True, False])
def test_candidates_are_drawn_uniformly(replacement: bool) -> None:
    counts = (anchors_of_single_class(4000, 10, 1, replacement) > 0).sum(dim=0).double()
    assert counts.sum() == 4000
    assert float(((counts - 400) ** 2 / 400).sum()) < 27.9, "chi-square of 9 degrees: one seed in a thousand"


def test_item_is_drawn_twice_only_with_replacement() -> None:
    twice = anchors_of_single_class(200, 4, 2, replacement=True)
    once = anchors_of_single_class(200, 4, 2, replacement=False)
    assert ((twice > 0).sum(dim=1) == 1).any(), "if both votes are for one item, only its bit is +1"
    assert ((once > 0).sum(dim=1) == 2).all(), "two items tie on their bits"


def test_anchor_does_not_depend_on_other_queries() -> None:
    labels = torch.arange(30)[:, None].remainder(3).eq(torch.arange(3)).to(torch.uint8)
    codes = torch.where(torch.rand(30, 8, generator=torch.Generator().manual_seed(1)) < 0.5, 1, -1).to(torch.int8)
    draws = draw_uniform(3, 3)
    whole = compute_majority_codes(labels[:3], labels, codes, draws, replacement=True)
    assert torch.equal(compute_majority_codes(labels[1:2], labels, codes, draws[1:2], replacement=True), whole[1:2])


def test_target_labels_missing_from_the_database_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"no database item has exactly the labels of a target: got classes \[0\]"):
        compute_majority_codes(ONE, 0 * ONE, one_hot_codes(1), draw_uniform(1, 1), replacement=True)


@pytest.mark.parametrize("replacement", [True, False])
def test_no_targets_give_no_anchors(replacement: bool) -> None:
    assert compute_majority_codes(ONE[:0], ONE, one_hot_codes(1), draw_uniform(0, 9), replacement).shape == (0, 1)
