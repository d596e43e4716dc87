"""Anchor codes: an attack's aim, voted for by database items that carry the target's labels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from retbench import sign


def compute_majority_codes(
    target_labels: Tensor, labels: Tensor, codes: Tensor, draws: Tensor, replacement: bool
) -> Tensor:
    """Return int8 (B, K) in {-1, +1}: bit by bit the majority of the codes drawn for each target; (0, K) for none.

    The candidates of a target are the items whose label vector equals it exactly. A tie, which an even number of
    votes can have, goes to +1.

    Args:
        target_labels: uint8 (B, C), multi-hot.
        labels: uint8 (M, C), the database's.
        codes: int8 (M, K), the database's.
        draws: float32 (B, V) in [0, 1), one for each vote.
        replacement: whether an item may vote again; if not, a target with fewer than V candidates has a vote of each.

    Raises:
        ValueError: a target whose labels no database item carries.

    Source: Bai et al. 2020, component voting.
    """
    # Grouped again for each batch: half a second for 200 000 rows, beside hundreds of gradient steps, merits no cache.
    vectors, groups = torch.unique(torch.cat([target_labels, labels]), dim=0, return_inverse=True)
    wanted, carried = groups.split([len(target_labels), len(labels)])
    sizes = carried.bincount(minlength=len(vectors))
    _check_candidates(sizes[wanted], target_labels)
    ballot = _draw_again(sizes[wanted], draws) if replacement else _draw_once(sizes[wanted], draws)
    starts = sizes.cumsum(0) - sizes
    voters = carried.argsort(stable=True)[starts[wanted][:, None] + ballot.picks]
    return sign((codes[voters] * ballot.counts[:, :, None]).sum(dim=1).float())


class _Ballot(NamedTuple):
    picks: Tensor  # int64 (B, V), positions among a target's candidates
    counts: Tensor  # bool (B, V), whether the vote is cast


def _draw_again(sizes: Tensor, draws: Tensor) -> _Ballot:
    """Return V candidates of each target, independent of each other."""
    return _Ballot(_below(sizes[:, None], draws), torch.ones_like(draws, dtype=torch.bool))


def _draw_once(sizes: Tensor, draws: Tensor) -> _Ballot:
    """Return V different candidates of each target, or all of them, by Floyd's algorithm (Bentley and Floyd 1987)."""
    votes = sizes.clamp(max=draws.shape[1])
    picks = torch.empty_like(draws, dtype=torch.int64)
    for vote in range(draws.shape[1]):
        last = (sizes - votes + vote).clamp(max=sizes - 1)
        pick = _below(last + 1, draws[:, vote])
        taken = (picks[:, :vote] == pick[:, None]).any(dim=1)
        picks[:, vote] = torch.where(taken, last, pick)
    return _Ballot(picks, torch.arange(draws.shape[1], device=sizes.device) < votes[:, None])


def _below(bounds: Tensor, draws: Tensor) -> Tensor:
    """Return int64 in [0, bounds): in float64, because a float32 product could round up to the bound."""
    return (draws.double() * bounds).long()


def _check_candidates(sizes: Tensor, target_labels: Tensor) -> None:
    if (sizes == 0).any():
        labels = target_labels[sizes == 0][0].nonzero().flatten().tolist()
        raise ValueError(
            f"anchor: no database item carries the target's labels: got classes {labels}, expected a label vector of "
            "the database"
        )
