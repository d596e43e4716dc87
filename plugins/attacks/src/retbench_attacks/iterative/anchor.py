"""Anchor codes by majority vote of database items that have the target's labels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from retbench import sign


def compute_majority_codes(
    target_labels: Tensor, labels: Tensor, codes: Tensor, draws: Tensor, replacement: bool
) -> Tensor:
    """Return for each target the bitwise majority of the codes of V drawn candidates, int8 (B, K) in {-1, +1}.

    The candidates of a target are the database items whose label vector equals its own. A tie, possible for an even
    number of votes, becomes +1. No targets give (0, K).

    Args:
        target_labels: uint8 (B, C), multi-hot.
        labels: uint8 (M, C), of the database.
        codes: int8 (M, K), of the database.
        draws: float32 (B, V) in [0, 1), one per vote.
        replacement: whether an item may be drawn several times; if not, a target with fewer than V candidates uses each
            of them once.

    Raises:
        ValueError: no database item has the labels of a target.

    Source: Bai et al. 2020, component voting.
    """
    # Grouping again for each batch takes half a second for 200 000 rows, little compared with the gradient steps.
    vectors, groups = torch.unique(torch.cat([target_labels, labels]), dim=0, return_inverse=True)
    target_groups, item_groups = torch.split(groups, [len(target_labels), len(labels)])
    sizes = item_groups.bincount(minlength=len(vectors))
    _check_candidates(sizes[target_groups], target_labels)
    draw = _draw_with_replacement if replacement else _draw_without_replacement
    votes = draw(sizes[target_groups], draws)
    starts = sizes.cumsum(0) - sizes
    voters = item_groups.argsort(stable=True)[starts[target_groups][:, None] + votes.candidates]
    return sign((codes[voters] * votes.valid[:, :, None]).sum(dim=1).float())


class _Votes(NamedTuple):
    candidates: Tensor  # int64 (B, V), indices among the candidates of each target
    valid: Tensor  # bool (B, V), whether the vote counts


def _draw_with_replacement(sizes: Tensor, draws: Tensor) -> _Votes:
    """Return V independent draws from the candidates of each target."""
    return _Votes(_scale_to_integers(draws, sizes[:, None]), torch.ones_like(draws, dtype=torch.bool))


def _draw_without_replacement(sizes: Tensor, draws: Tensor) -> _Votes:
    """Return V distinct candidates of each target, or all of them, by Floyd's algorithm (Bentley and Floyd 1987)."""
    counts = sizes.clamp(max=draws.shape[1])
    candidates = torch.empty_like(draws, dtype=torch.int64)
    for vote in range(draws.shape[1]):
        last = (sizes - counts + vote).clamp(max=sizes - 1)
        candidate = _scale_to_integers(draws[:, vote], last + 1)
        taken = (candidates[:, :vote] == candidate[:, None]).any(dim=1)
        candidates[:, vote] = torch.where(taken, last, candidate)
    return _Votes(candidates, torch.arange(draws.shape[1], device=sizes.device) < counts[:, None])


def _scale_to_integers(draws: Tensor, bounds: Tensor) -> Tensor:
    """Return int64 in [0, bounds). The product is in float64, because in float32 it could round up to the bound."""
    return (draws.double() * bounds).long()


def _check_candidates(sizes: Tensor, target_labels: Tensor) -> None:
    if (sizes == 0).any():
        classes = target_labels[sizes == 0][0].nonzero().flatten().tolist()
        raise ValueError(
            f"anchor: no database item has exactly the labels of a target: got classes {classes}, expected a label "
            "vector of the database"
        )
