"""Which items vote for an anchor, and what they vote for."""

from __future__ import annotations

import pytest
import torch
from retbench_attacks.iterative.anchor import compute_majority_codes
from torch import Tensor

ONE = torch.ones(1, 1, dtype=torch.uint8)


def uniform(rows: int, votes: int) -> Tensor:
    return torch.rand(rows, votes, generator=torch.Generator().manual_seed(0))


def unit_codes(items: int) -> Tensor:
    """Return codes of which item i alone carries +1 in bit i: an anchor of one vote names its voter."""
    return (2 * torch.eye(items) - 1).to(torch.int8)


def voters(count: int, items: int, votes: int, replacement: bool) -> Tensor:
    """Return the anchors of `count` targets, each voted for by `votes` of `items` items that all carry its labels."""
    labels = ONE.expand(items, 1)
    return compute_majority_codes(ONE.expand(count, 1), labels, unit_codes(items), uniform(count, votes), replacement)


def test_the_majority_of_each_bit_wins() -> None:
    codes = torch.tensor([[1, 1, -1], [1, -1, -1], [-1, -1, -1]], dtype=torch.int8)
    anchor = compute_majority_codes(ONE, ONE.expand(3, 1), codes, uniform(1, 3), replacement=False)
    assert anchor.tolist() == [[1, -1, -1]]
    assert anchor.dtype == torch.int8


def test_a_tie_becomes_plus_one() -> None:
    codes = torch.tensor([[1, -1], [-1, 1]], dtype=torch.int8)
    assert compute_majority_codes(ONE, ONE.expand(2, 1), codes, uniform(1, 2), replacement=False).tolist() == [[1, 1]]


def test_fewer_candidates_than_votes_all_vote_once() -> None:
    codes = torch.tensor([[1, -1], [-1, -1], [-1, 1]], dtype=torch.int8)
    anchors = compute_majority_codes(ONE.expand(50, 1), ONE.expand(3, 1), codes, uniform(50, 9), replacement=False)
    assert anchors.tolist() == [[-1, -1]] * 50


@pytest.mark.parametrize("replacement", [True, False])
def test_only_items_with_exactly_the_targets_labels_vote(replacement: bool) -> None:
    labels = torch.tensor([[1, 0], [0, 1], [1, 0], [1, 1], [0, 0]], dtype=torch.uint8)
    codes = torch.tensor([[1, 1], [1, -1], [1, 1], [-1, 1], [-1, -1]], dtype=torch.int8)
    targets = torch.tensor([[1, 1], [0, 1], [1, 0]], dtype=torch.uint8)
    anchors = compute_majority_codes(targets, labels, codes, uniform(3, 9), replacement)
    assert anchors.tolist() == [[-1, 1], [1, -1], [1, 1]]


@pytest.mark.parametrize("replacement", [True, False])
def test_every_candidate_is_as_likely_to_vote(replacement: bool) -> None:
    counts = (voters(4000, 10, 1, replacement) > 0).sum(dim=0).double()
    assert counts.sum() == 4000
    assert float(((counts - 400) ** 2 / 400).sum()) < 27.9, "chi-square of 9 degrees: one seed in a thousand"


def test_an_item_votes_twice_only_with_replacement() -> None:
    twice = voters(200, 4, 2, replacement=True)
    once = voters(200, 4, 2, replacement=False)
    assert ((twice > 0).sum(dim=1) == 1).any(), "both votes for one item leave it alone at +1"
    assert ((once > 0).sum(dim=1) == 2).all(), "two voters tie on their own bits"


def test_a_draw_does_not_depend_on_the_other_queries() -> None:
    labels = torch.arange(30)[:, None].remainder(3).eq(torch.arange(3)).to(torch.uint8)
    codes = torch.where(torch.rand(30, 8, generator=torch.Generator().manual_seed(1)) < 0.5, 1, -1).to(torch.int8)
    draws = uniform(3, 3)
    whole = compute_majority_codes(labels[:3], labels, codes, draws, replacement=True)
    assert torch.equal(compute_majority_codes(labels[1:2], labels, codes, draws[1:2], replacement=True), whole[1:2])


def test_a_target_that_nobody_carries_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no database item carries the target's labels: got classes \[0\]"):
        compute_majority_codes(ONE, 0 * ONE, unit_codes(1), uniform(1, 1), replacement=True)


@pytest.mark.parametrize("replacement", [True, False])
def test_no_targets_have_no_anchors(replacement: bool) -> None:
    assert compute_majority_codes(ONE[:0], ONE, unit_codes(1), uniform(0, 9), replacement).shape == (0, 1)
