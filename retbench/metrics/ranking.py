"""Average precision of a Hamming ranking, under the definitions and tie rules that the literature mixes.

Codes are packed (see `codes.pack`), labels multi-hot; an item is relevant when it shares at least one class with the
query. Items are ranked by ascending Hamming distance.

T-MAP, the success of a targeted attack, is the same function with the attacker's target labels in place of the query
labels: the database, its labels and its codes stay what they are (Bai et al. 2020, Targeted Attack for Deep Hashing
Based Retrieval).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from retbench.metrics.measures import Floats, Score, measured
from retbench.metrics.ties import Groups, Integers, Ties, check_ties

Definition = Literal["full", "top-k", "top-k-skip", "first-k-relevant"]


@dataclass(frozen=True)
class AveragePrecision:
    """The options of `average_precision`, for `measure_rankings`; the width is 1."""

    definition: Definition = "full"
    depth: int | None = None
    ties: Ties = "stable"

    def score(self, items: int) -> Score:
        """Return how a query is scored in a database of so many items; raise ValueError for a wrong option."""
        check_ties("average_precision", self.ties)
        return _average_precision_score(_cut(self.definition, self.depth, items), items, self.ties)


class Cut(NamedTuple):
    """Which relevant items count: within `depth` ranks, the first `limit` of them; `missing` is the score of none."""

    depth: int
    limit: int
    missing: float


def average_precision(
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Tensor,
    database_labels: Tensor,
    *,
    bits: int,
    definition: Definition = "full",
    depth: int | None = None,
    ties: Ties = "stable",
) -> Tensor:
    """Return the average precision of every query: float64 (Q,), 0..1, on the CPU.

    AP is the mean, over the relevant items that count, of (rank among the relevant) / (rank overall), ranks from 1.
    What counts:

    - `full`: every relevant item of the database. A query without one scores 0 and counts in the mean (Wang et al.
      2021, ProS-GAN).
    - `top-k`: those among the first `depth` ranks, and only they are divided by; none there gives 0 (MAP@k of most
      hashing papers).
    - `top-k-skip`: the same, but a query with none there is NaN and so drops out of the mean (Bai et al. 2020, DHTA).
    - `first-k-relevant`: the first min(depth, R) of the R relevant items of the database, wherever they are ranked
      (Wang et al. 2023, TA-DCH; often called MAP@k as well). A query without a relevant item scores 0.

    A `depth` beyond the database means all of it. An empty database gives zeros (NaN under `top-k-skip`: no query has a
    hit); no queries give an empty tensor.

    Ties: `stable`, `expected`, `best`, `worst` (see `ties`). `best` and `worst` bound every order of the ties under
    `full` and `first-k-relevant`. Under `top-k` they need not: the order also moves how many hits are in sight, which
    is the divisor. `expected` accounts for that divisor; under `top-k-skip` it is the expectation over the orders in
    which the query has a hit.

    Args:
        query_codes, database_codes: packed uint8 (Q, ceil(bits / 8)) and (M, ceil(bits / 8)).
        query_labels: multi-hot uint8 (Q, C); the target labels for T-MAP.
        database_labels: multi-hot uint8 (M, C).
        bits: the codes' length K.
        definition: what counts.
        depth: the k of every definition but `full`, which takes None.
        ties: the order inside a tie.

    Raises:
        ValueError: an argument of a wrong dtype, shape or value, or arguments that do not fit together.

    Source: McSherry and Najork 2008, for the expectation over ties.

    T-MAP of one query that was pushed towards class 1:

    >>> from retbench.metrics.codes import pack
    >>> database = pack(torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [-1, -1, -1, -1]], dtype=torch.int8))
    >>> labels = torch.tensor([[1, 0], [1, 0], [0, 1]], dtype=torch.uint8)
    >>> attacked = pack(torch.tensor([[-1, -1, -1, 1]], dtype=torch.int8))
    >>> targets = torch.tensor([[0, 1]], dtype=torch.uint8)
    >>> mean_average_precision(average_precision(attacked, database, targets, labels, bits=4))
    1.0
    """
    measure = AveragePrecision(definition, depth, ties)
    ((scores,),) = measured(
        "average_precision", query_codes, database_codes, [query_labels], database_labels, bits, [measure]
    )
    return scores[:, 0]


def mean_average_precision(average_precisions: Tensor) -> float:
    """Return the mean of the average precisions that are not NaN, 0..1: MAP, or T-MAP.

    NaN marks a query that its definition leaves out (`top-k-skip`). NaN when nothing is left, so also without queries.

    Args:
        average_precisions: floating point (Q,).

    Raises:
        ValueError: not one-dimensional.

    >>> mean_average_precision(torch.tensor([1.0, 0.5, float("nan")]))
    0.75
    """
    if average_precisions.ndim != 1:
        shape = tuple(average_precisions.shape)
        raise ValueError(f"mean_average_precision: wrong shape: got {shape}, expected one dimension")
    return float(average_precisions.to(torch.float64).nanmean())


def _cut(definition: Definition, depth: int | None, items: int) -> Cut:
    if definition not in get_args(Definition):
        expected = ", ".join(get_args(Definition))
        raise ValueError(f"average_precision: unknown definition: got {definition!r}, expected one of {expected}")
    if definition == "full":
        if depth is not None:
            raise ValueError(f"average_precision: depth: not used by definition 'full': got {depth}, expected None")
        return Cut(items, items, 0.0)
    if depth is None or depth < 1:
        raise ValueError(
            f"average_precision: depth: needed by definition {definition!r}: got {depth}, expected at least 1"
        )
    if definition == "first-k-relevant":
        return Cut(items, depth, 0.0)
    return Cut(depth, items, 0.0 if definition == "top-k" else np.nan)


def _average_precision_score(cut: Cut, items: int, ties: Ties) -> Score:
    from retbench.metrics.expectation import expected_average_precision

    hits = np.arange(1.0, items + 1)

    def of_ranks(ranks: Integers) -> Floats:
        seen = ranks if cut.depth >= items else ranks[: np.searchsorted(ranks, cut.depth, side="right")]
        counted = seen[: cut.limit]
        precisions = hits[: len(counted)] / counted
        return np.array([np.add.reduce(precisions) / len(counted) if len(counted) else cut.missing])

    def of_groups(groups: Groups) -> Floats:
        skip = bool(np.isnan(cut.missing))
        return np.array([expected_average_precision(groups.sizes, groups.relevants, cut.depth, cut.limit, skip)])

    return Score(ties, 1, of_ranks, of_groups)
