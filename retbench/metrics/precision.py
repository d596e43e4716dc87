"""Precision of a Hamming ranking at fixed depths and at fixed levels of recall.

The inputs are those of `average_precision`: packed codes and multi-hot labels. A database item is relevant if it shares
at least one class with the query.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retbench.metrics.measures import Floats, Scorer, compute_measures
from retbench.metrics.ties import Integers, TieGroups, Ties, check_ties

ROUNDING = 1e-7  # relative tolerance of recall levels: the float32 number 0.1 is slightly larger than 0.1


@dataclass(frozen=True)
class PrecisionAt:
    """Options of `precision_at`, for `measure_rankings`; one value per depth.

    Attributes:
        depths: each N, at least 1, in any order.
        ties: the order inside a tie.
    """

    depths: Sequence[int]
    ties: Ties = "stable"

    def scorer(self, items: int) -> Scorer:
        """Return the computation of this measure for one query.

        Raises:
            ValueError: an option is invalid.
        """
        check_ties("precision_at", self.ties)
        if any(depth < 1 for depth in self.depths):
            raise ValueError(f"precision_at: depths: below the first rank: got {min(self.depths)}, expected at least 1")
        return _precision_scorer(np.array(self.depths, np.int64), self.ties)


@dataclass(frozen=True)
class PrecisionRecall:
    """Options of `precision_recall`, for `measure_rankings`; one value per recall level.

    Attributes:
        recalls: floating point (R,), each 0..1, in any order.
        ties: the order inside a tie.
    """

    recalls: Tensor
    ties: Ties = "stable"

    def scorer(self, items: int) -> Scorer:
        """Return the computation of this measure for one query.

        Raises:
            ValueError: an option is invalid.
        """
        check_ties("precision_recall", self.ties)
        return _recall_scorer(_check_recalls(self.recalls), self.ties)


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
    """Return the precision at each depth of each query: float64 (Q, len(depths)), 0..1, on the CPU.

    The precision at depth N is (relevant items among the first N) / N, even if the database has fewer than N items. An
    empty database gives zeros; no queries or no depths give an empty tensor. A query without relevant items has the
    value 0.

    Ties: as in `average_precision`; `best` and `worst` are bounds for every order of the ties.

    Args:
        query_codes: packed codes, uint8 (Q, ceil(bits / 8)).
        database_codes: packed codes, uint8 (M, ceil(bits / 8)).
        query_labels: labels, multi-hot uint8 (Q, C); the target labels for a targeted attack.
        database_labels: labels, multi-hot uint8 (M, C).
        bits: the code length.
        depths: each N, at least 1, in any order.
        ties: the order inside a tie.

    Raises:
        ValueError: an argument has a wrong dtype, shape or value, or two arguments have different sizes.

    Example:
        >>> import torch
        >>> from retbench.metrics import pack, precision_at
        >>> database = pack(torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [-1, -1, -1, -1]], dtype=torch.int8))
        >>> labels = torch.tensor([[1, 0], [1, 0], [0, 1]], dtype=torch.uint8)
        >>> query = pack(torch.tensor([[-1, -1, -1, 1]], dtype=torch.int8))  # distances 3, 3 and 1
        >>> precision_at(query, database, labels[:1], labels, bits=4, depths=[1, 2])
        tensor([[0.0000, 0.5000]], dtype=torch.float64)
    """
    measure = PrecisionAt(depths, ties)
    ((precisions,),) = compute_measures(
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

    A query with R relevant items reaches the recall r with max(1, ceil(R r)) of them. Published evaluation code uses
    floor(R r), which stops before the recall is reached; for a recall below 1 / R it looks for the rank of no item at
    all, which gives an error or a precision of 0. Recalls have a relative tolerance of 1e-7, so that a recall given in
    float32 counts as the decimal number that was written.

    A query without relevant items has the value 0, so an empty database gives zeros. No queries or no recalls give an
    empty tensor.

    Ties: as in `average_precision`; `best` and `worst` are bounds for every order of the ties.

    Args:
        query_codes: packed codes, uint8 (Q, ceil(bits / 8)).
        database_codes: packed codes, uint8 (M, ceil(bits / 8)).
        query_labels: labels, multi-hot uint8 (Q, C); the target labels for a targeted attack.
        database_labels: labels, multi-hot uint8 (M, C).
        bits: the code length.
        recalls: floating point (R,), each 0..1, in any order.
        ties: the order inside a tie.

    Raises:
        ValueError: an argument has a wrong dtype, shape or value, or two arguments have different sizes.

    Example:
        >>> import torch
        >>> from retbench.metrics import pack, precision_recall
        >>> database = pack(torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [-1, -1, -1, -1]], dtype=torch.int8))
        >>> labels = torch.tensor([[1, 0], [1, 0], [0, 1]], dtype=torch.uint8)
        >>> query = pack(torch.tensor([[-1, -1, -1, 1]], dtype=torch.int8))  # relevant items at the ranks 2 and 3
        >>> precision_recall(query, database, labels[:1], labels, bits=4, recalls=torch.tensor([0.5, 1.0]))
        tensor([[0.5000, 0.6667]], dtype=torch.float64)
    """
    measure = PrecisionRecall(recalls, ties)
    ((precisions,),) = compute_measures(
        "precision_recall", query_codes, database_codes, [query_labels], database_labels, bits, [measure]
    )
    return precisions


def _precision_scorer(depths: Integers, ties: Ties) -> Scorer:
    def from_ranks(ranks: Integers) -> Floats:
        precisions: Floats = np.searchsorted(ranks, depths, side="right") / depths
        return precisions

    def from_tie_groups(groups: TieGroups) -> Floats:
        before = np.cumsum(groups.sizes) - groups.sizes
        visible = np.clip(depths[:, None] - before, 0, groups.sizes)
        precisions: Floats = visible @ (groups.relevant / np.maximum(groups.sizes, 1)) / depths
        return precisions

    return Scorer(ties, len(depths), from_ranks, from_tie_groups)


def _check_recalls(recalls: Tensor) -> Floats:
    levels: Floats = recalls.detach().cpu().to(torch.float64).numpy()
    if levels.ndim != 1:
        raise ValueError(f"precision_recall: recalls: wrong shape: got {tuple(recalls.shape)}, expected one dimension")
    invalid = levels[~((levels >= 0) & (levels <= 1))]
    if len(invalid):
        raise ValueError(f"precision_recall: recalls: not a recall: got {invalid[0]}, expected 0 to 1")
    return levels


def _recall_scorer(levels: Floats, ties: Ties) -> Scorer:
    from retbench.metrics.expectation import fill_expected_precision

    def needed_hits(relevant: int) -> Integers:
        return np.maximum(1, np.ceil(relevant * levels * (1 - ROUNDING))).astype(np.int64)

    def from_ranks(ranks: Integers) -> Floats:
        hits = needed_hits(len(ranks))
        return hits / ranks[hits - 1] if len(ranks) else np.zeros(len(levels))

    def from_tie_groups(groups: TieGroups) -> Floats:
        precisions, relevant = np.zeros(len(levels)), int(groups.relevant.sum())
        if relevant:
            fill_expected_precision(groups.sizes, groups.relevant, needed_hits(relevant), precisions)
        return precisions

    return Scorer(ties, len(levels), from_ranks, from_tie_groups)
