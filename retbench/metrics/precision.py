"""Precision of a Hamming ranking at fixed depths and at fixed levels of recall.

Inputs as in `ranking.average_precision`: packed codes, multi-hot labels, relevant = at least one class in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retbench.metrics.measures import Floats, Score, measured
from retbench.metrics.ties import Groups, Integers, Ties, check_ties

ROUNDING = 1e-7  # relative; a float32 level such as 0.1 lies a little above what was meant


@dataclass(frozen=True)
class PrecisionAt:
    """The options of `precision_at`, for `measure_rankings`; the width is the number of depths."""

    depths: Sequence[int]
    ties: Ties = "stable"

    def score(self, items: int) -> Score:
        """Return how a query is scored; raise ValueError for a wrong option."""
        check_ties("precision_at", self.ties)
        if any(depth < 1 for depth in self.depths):
            raise ValueError(f"precision_at: depths: below the first rank: got {min(self.depths)}, expected at least 1")
        return _precision_score(np.array(self.depths, np.int64), self.ties)


@dataclass(frozen=True)
class PrecisionRecall:
    """The options of `precision_recall`, for `measure_rankings`; the width is the number of recalls."""

    recalls: Tensor
    ties: Ties = "stable"

    def score(self, items: int) -> Score:
        """Return how a query is scored; raise ValueError for a wrong option."""
        check_ties("precision_recall", self.ties)
        return _recall_score(_levels(self.recalls), self.ties)


def precision_at(
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    *,
    bits: int,
    depths: Sequence[int],
    ties: Ties = "stable",
) -> Tensor:
    """Return precision@N, (relevant items among the first N) / N: float64 (Q, len(depths)), 0..1, on the CPU.

    The divisor is N even where the database has fewer items. An empty database gives zeros; no queries, or no depths,
    give an empty tensor. Queries without a relevant item score 0 and count in a mean.

    Ties: as `average_precision`; `best` and `worst` bound every order of the ties.

    Args:
        query_codes: packed uint8 (Q, ceil(bits / 8)).
        database_codes: packed uint8 (M, ceil(bits / 8)).
        query_labels: multi-hot uint8 (Q, C); the target labels for a targeted attack.
        database_labels: multi-hot uint8 (M, C).
        bits: the codes' length K.
        depths: each N, at least 1, in any order.
        ties: the order inside a tie.

    Raises:
        ValueError: an argument of a wrong dtype, shape or value, or arguments that do not fit together.
    """
    measure = PrecisionAt(depths, ties)
    ((precisions,),) = measured(
        "precision_at", query_codes, database_codes, [query_labels], database_labels, bits, [measure]
    )
    return precisions


def precision_recall(
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    *,
    bits: int,
    recalls: Tensor,
    ties: Ties = "stable",
) -> Tensor:
    """Return the precision at the first rank that reaches each recall: float64 (Q, len(recalls)), 0..1, on the CPU.

    A query with R relevant items reaches the level r with max(1, ceil(R r)) of them. Published evaluation code takes
    floor(R r), which stops before the level is reached and, for a level below 1 / R, asks for the rank of no item at
    all: an error, or a precision of 0, depending on the first item. A level that R r exceeds by less than one part in
    ten million counts as reached, so that a level given in float32 means what was written.

    Queries without a relevant item score 0, so an empty database gives zeros; no queries, or no levels, give an empty
    tensor.

    Ties: as `average_precision`; `best` and `worst` bound every order of the ties.

    Args:
        query_codes: packed uint8 (Q, ceil(bits / 8)).
        database_codes: packed uint8 (M, ceil(bits / 8)).
        query_labels: multi-hot uint8 (Q, C); the target labels for a targeted attack.
        database_labels: multi-hot uint8 (M, C).
        bits: the codes' length K.
        recalls: floating point (R,), each 0..1, in any order.
        ties: the order inside a tie.

    Raises:
        ValueError: an argument of a wrong dtype, shape or value, or arguments that do not fit together.
    """
    measure = PrecisionRecall(recalls, ties)
    ((precisions,),) = measured(
        "precision_recall", query_codes, database_codes, [query_labels], database_labels, bits, [measure]
    )
    return precisions


def _precision_score(depths: Integers, ties: Ties) -> Score:
    def of_ranks(ranks: Integers) -> Floats:
        precisions: Floats = np.searchsorted(ranks, depths, side="right") / depths
        return precisions

    def of_groups(groups: Groups) -> Floats:
        before = np.cumsum(groups.sizes) - groups.sizes
        visible = np.clip(depths[:, None] - before, 0, groups.sizes)
        precisions: Floats = visible @ (groups.relevants / np.maximum(groups.sizes, 1)) / depths
        return precisions

    return Score(ties, len(depths), of_ranks, of_groups)


def _levels(recalls: Tensor) -> Floats:
    levels: Floats = recalls.detach().cpu().to(torch.float64).numpy()
    if levels.ndim != 1:
        raise ValueError(f"precision_recall: recalls: wrong shape: got {tuple(recalls.shape)}, expected one dimension")
    outside = levels[~((levels >= 0) & (levels <= 1))]
    if len(outside):
        raise ValueError(f"precision_recall: recalls: not a recall: got {outside[0]}, expected 0 to 1")
    return levels


def _recall_score(levels: Floats, ties: Ties) -> Score:
    from retbench.metrics.expectation import fill_expected_precision

    def needed(relevant: int) -> Integers:
        return np.maximum(1, np.ceil(relevant * levels * (1 - ROUNDING))).astype(np.int64)

    def of_ranks(ranks: Integers) -> Floats:
        hits = needed(len(ranks))
        return hits / ranks[hits - 1] if len(ranks) else np.zeros(len(levels))

    def of_groups(groups: Groups) -> Floats:
        precisions, relevant = np.zeros(len(levels)), int(groups.relevants.sum())
        if relevant:
            fill_expected_precision(groups.sizes, groups.relevants, needed(relevant), precisions)
        return precisions

    return Score(ties, len(levels), of_ranks, of_groups)
