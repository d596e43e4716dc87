"""Average precision of a Hamming ranking, under each definition and tie rule in use in the literature.

Codes are packed (see `pack`) and labels are multi-hot. Items are ranked by ascending Hamming distance. An item is
relevant if it shares at least one class with the query.

T-MAP, the success of a targeted attack, is the MAP with the attacker's target labels in place of the query labels; the
labels and codes of the database stay the same (Bai et al. 2020, Targeted Attack for Deep Hashing Based Retrieval).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from retbench.metrics.measures import Floats, Scorer, compute_measures
from retbench.metrics.relevance import relevant_counts
from retbench.metrics.ties import Integers, TieGroups, Ties, check_ties

Definition = Literal["full", "top-k", "top-k-skip", "first-k-relevant"]


@dataclass(frozen=True)
class AveragePrecision:
    """Options of `average_precision`, for `measure_rankings`; one value per query.

    Attributes:
        definition: the definition of average precision.
        depth: the k of every definition but `full`, at least 1; None for `full`.
        ties: the order inside a tie.
    """

    definition: Definition = "full"
    depth: int | None = None
    ties: Ties = "stable"

    def scorer(self, items: int) -> Scorer:
        """Return the computation of this measure for one query and a database of `items` items.

        Raises:
            ValueError: an option is invalid.
        """
        check_ties("average_precision", self.ties)
        return _average_precision_scorer(_make_cutoff(self.definition, self.depth, items), items, self.ties)


class Cutoff(NamedTuple):
    """The relevant items that count: the first `limit` of those within the first `depth` ranks.

    Attributes:
        depth: number of ranks.
        limit: number of relevant items.
        empty_score: the average precision if no relevant item counts, 0 or NaN.
    """

    depth: int
    limit: int
    empty_score: float


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
    """Return the average precision of each query: float64 (Q,), 0..1, on the CPU.

    The average precision is the mean of (rank among the relevant items) / (rank among all items), with ranks from 1,
    over the relevant items that count. The definition sets which items count:

    - `full`: all relevant items of the database. A query without relevant items has the value 0 (Wang et al. 2021,
      ProS-GAN).
    - `top-k`: the relevant items among the first `depth` ranks; without any the value is 0 (MAP@k in most papers on
      hashing).
    - `top-k-skip`: as `top-k`, but without a relevant item there the value is NaN, so that the query drops out of the
      mean (Bai et al. 2020, DHTA).
    - `first-k-relevant`: the first min(depth, R) of the R relevant items of the database, at any rank; a query without
      relevant items has the value 0 (Wang et al. 2023, TA-DCH; also often called MAP@k).

    A `depth` larger than the database means all of it. An empty database gives zeros (NaN under `top-k-skip`); no
    queries give an empty tensor.

    Ties (see `Ties`): under `full` and `first-k-relevant`, `best` and `worst` are bounds for every order of the ties.
    Under `top-k` they may not be, because the order also changes the number of relevant items within the depth, which
    is the divisor. `expected` takes this divisor into account; under `top-k-skip` it is the expectation over the orders
    with a relevant item within the depth.

    Args:
        query_codes: packed codes, uint8 (Q, ceil(bits / 8)).
        database_codes: packed codes, uint8 (M, ceil(bits / 8)).
        query_labels: labels, multi-hot uint8 (Q, C); the target labels for T-MAP.
        database_labels: labels, multi-hot uint8 (M, C).
        bits: the code length.
        definition: the definition of average precision.
        depth: the k of every definition but `full`, at least 1; None for `full`.
        ties: the order inside a tie.

    Raises:
        ValueError: an argument has a wrong dtype, shape or value, or two arguments have different sizes.

    Source: McSherry and Najork 2008, Computing Information Retrieval Performance Measures Efficiently in the Presence
    of Tied Scores, for the expectation over ties.

    Example:
        The T-MAP of one query that was moved towards class 1:

        >>> import torch
        >>> from retbench.metrics import average_precision, pack
        >>> database = pack(torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [-1, -1, -1, -1]], dtype=torch.int8))
        >>> labels = torch.tensor([[1, 0], [1, 0], [0, 1]], dtype=torch.uint8)
        >>> attacked = pack(torch.tensor([[-1, -1, -1, 1]], dtype=torch.int8))  # distances 3, 3 and 1
        >>> targets = torch.tensor([[0, 1]], dtype=torch.uint8)
        >>> average_precision(attacked, database, targets, labels, bits=4)
        tensor([1.], dtype=torch.float64)
    """
    measure = AveragePrecision(definition, depth, ties)
    ((scores,),) = compute_measures(
        "average_precision", query_codes, database_codes, [query_labels], database_labels, bits, [measure]
    )
    return scores[:, 0]


def mean_average_precision(average_precisions: Tensor) -> float:
    """Return the mean of the average precisions, 0..1: MAP, or T-MAP for target labels.

    NaN values, which `top-k-skip` gives, are ignored. Without any other value, and without queries, the mean is NaN.

    Args:
        average_precisions: floating point (Q,), from `average_precision`.

    Raises:
        ValueError: the tensor is not one-dimensional.

    Example:
        >>> import torch
        >>> from retbench.metrics import mean_average_precision
        >>> mean_average_precision(torch.tensor([1.0, 0.5, float("nan")]))
        0.75
    """
    if average_precisions.ndim != 1:
        shape = tuple(average_precisions.shape)
        raise ValueError(f"mean_average_precision: wrong shape: got {shape}, expected one dimension")
    return float(average_precisions.to(torch.float64).nanmean())


def random_precision(
    query_labels: Tensor, database_labels: Tensor, *, definition: Definition = "full", depth: int | None = None
) -> Tensor:
    """Return the expected average precision of each query in a random order of the database: float64 (Q,), 0..1.

    It is the expectation over the ties of codes that are all equal. The mean of it is the chance level of MAP; with
    target labels in place of the query labels, that of T-MAP. An empty database gives zeros (NaN under `top-k-skip`).

    Args:
        query_labels: labels, multi-hot uint8 (Q, C).
        database_labels: labels, multi-hot uint8 (M, C).
        definition: the definition of average precision, see `average_precision`.
        depth: its depth.

    Raises:
        ValueError: as in `relevant_counts`, or an option is invalid.

    Example:
        One of two items is relevant: it is first or second.

        >>> import torch
        >>> from retbench.metrics import random_precision
        >>> labels = torch.eye(2, dtype=torch.uint8)
        >>> random_precision(labels[:1], labels)
        tensor([0.7500], dtype=torch.float64)
    """
    items = len(database_labels)
    scorer = AveragePrecision(definition, depth, "expected").scorer(items)
    counts, which = torch.unique(relevant_counts(query_labels, database_labels), return_inverse=True)
    expected = [scorer.from_tie_groups(TieGroups(np.array([items]), np.array([count])))[0] for count in counts.tolist()]
    return torch.tensor(expected, dtype=torch.float64)[which]


def _make_cutoff(definition: Definition, depth: int | None, items: int) -> Cutoff:
    if definition not in get_args(Definition):
        expected = ", ".join(get_args(Definition))
        raise ValueError(f"average_precision: unknown definition: got {definition!r}, expected one of {expected}")
    if definition == "full":
        if depth is not None:
            raise ValueError(f"average_precision: depth: not used by definition 'full': got {depth}, expected None")
        return Cutoff(items, items, 0.0)
    if depth is None or depth < 1:
        raise ValueError(
            f"average_precision: depth: needed by definition {definition!r}: got {depth}, expected at least 1"
        )
    if definition == "first-k-relevant":
        return Cutoff(items, depth, 0.0)
    return Cutoff(depth, items, 0.0 if definition == "top-k" else np.nan)


def _average_precision_scorer(cutoff: Cutoff, items: int, ties: Ties) -> Scorer:
    from retbench.metrics.expectation import expected_average_precision

    hits = np.arange(1.0, items + 1)

    def from_ranks(ranks: Integers) -> Floats:
        within_depth = ranks if cutoff.depth >= items else ranks[: np.searchsorted(ranks, cutoff.depth, side="right")]
        counted = within_depth[: cutoff.limit]
        precisions = hits[: len(counted)] / counted
        return np.array([np.add.reduce(precisions) / len(counted) if len(counted) else cutoff.empty_score])

    def from_tie_groups(groups: TieGroups) -> Floats:
        skip = bool(np.isnan(cutoff.empty_score))
        return np.array([expected_average_precision(groups.sizes, groups.relevant, cutoff.depth, cutoff.limit, skip)])

    return Scorer(ties, 1, from_ranks, from_tie_groups)
