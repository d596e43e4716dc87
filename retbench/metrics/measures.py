"""Several measures of the same rankings in one pass over the database.

The distances of a query to the database are computed once and counted once per set of query labels. Every measure then
uses these counts, or the ranks of the relevant items under its tie rule.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retbench.metrics.retrieval import Retrieval, check_retrieval
from retbench.metrics.ties import Integers, TieGroups, Ties

Floats = NDArray[np.float64]

BLOCK = 32  # queries per task of a thread


class Scorer(NamedTuple):
    """The computation of one measure for one query.

    Attributes:
        ties: the tie rule.
        width: number of values per query.
        from_ranks: returns the values from the 1-based ranks of the relevant items, ascending; for every tie rule but
            `expected`.
        from_tie_groups: returns the values from the tie groups; for the tie rule `expected`.
    """

    ties: Ties
    width: int
    from_ranks: Callable[[Integers], Floats]
    from_tie_groups: Callable[[TieGroups], Floats]


class Measure(Protocol):
    """A measure of a ranking with its options: `AveragePrecision`, `PrecisionAt` or `PrecisionRecall`."""

    def scorer(self, items: int) -> Scorer:
        """Return the computation of this measure for a database of `items` items.

        Raises:
            ValueError: an option is invalid.
        """


def measure_rankings(
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Sequence[Tensor],
    database_labels: Tensor,
    *,
    bits: int,
    measures: Sequence[Measure],
) -> list[list[Tensor]]:
    """Return every measure for every set of query labels: one list per set, with a float64 (Q, width) per measure.

    The values equal those of `average_precision` (width 1), `precision_at` (one column per depth) and
    `precision_recall` (one column per recall), bit for bit. All measures together cost little more than one of them.
    Empty inputs and ties are treated as there; without label sets or measures the lists are empty.

    Args:
        query_codes: packed codes, uint8 (Q, ceil(bits / 8)).
        database_codes: packed codes, uint8 (M, ceil(bits / 8)).
        query_labels: sets of labels, each multi-hot uint8 (Q, C), for example the queries' own and target labels.
        database_labels: labels, multi-hot uint8 (M, C).
        bits: the code length.
        measures: the measures with their options.

    Raises:
        ValueError: an argument has a wrong dtype, shape or value, two arguments have different sizes, or an option of a
            measure is invalid.

    Example:
        The average precision and the precision at rank 1 of one query, for its own label and for its target label:

        >>> import torch
        >>> from retbench.metrics import AveragePrecision, PrecisionAt, measure_rankings, pack
        >>> database = pack(torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [-1, -1, -1, -1]], dtype=torch.int8))
        >>> labels = torch.tensor([[1, 0], [1, 0], [0, 1]], dtype=torch.uint8)
        >>> query = pack(torch.tensor([[-1, -1, -1, 1]], dtype=torch.int8))  # distances 3, 3 and 1
        >>> own, target = torch.tensor([[1, 0]], dtype=torch.uint8), torch.tensor([[0, 1]], dtype=torch.uint8)
        >>> measures = [AveragePrecision(), PrecisionAt([1])]
        >>> for values in measure_rankings(query, database, [own, target], labels, bits=4, measures=measures):
        ...     print([value.tolist() for value in values])
        [[[0.5833333333333333]], [[0.0]]]
        [[[1.0]], [[1.0]]]
    """
    return compute_measures(
        "measure_rankings", query_codes, database_codes, query_labels, database_labels, bits, measures
    )


def compute_measures(
    caller: str,
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Sequence[Tensor],
    database_labels: Tensor,
    bits: int,
    measures: Sequence[Measure],
) -> list[list[Tensor]]:
    """Return the result of `measure_rankings`; messages about the tensors start with the name of the caller."""
    retrieval = check_retrieval(caller, query_codes, database_codes, query_labels, database_labels, bits)
    scorers = [measure.scorer(retrieval.items) for measure in measures]
    return [[torch.from_numpy(values) for values in scores] for scores in score_queries(retrieval, scorers)]


def score_queries(retrieval: Retrieval, scorers: Sequence[Scorer]) -> list[list[Floats]]:
    """Return the values of every query: float64 (Q, width) for each label set and scorer.

    Runs on torch.get_num_threads() threads; the values do not depend on their number. The time per query is linear in
    the size of the database, because distances are counted and not sorted. Each thread holds a few numbers per item.
    """
    scores = [[np.empty((retrieval.queries, scorer.width)) for scorer in scorers] for _ in retrieval.query_labels]
    blocks = range(0, retrieval.queries, BLOCK)

    def score(start: int) -> None:
        _score_block(retrieval, scorers, range(start, min(start + BLOCK, retrieval.queries)), scores)

    with ThreadPoolExecutor(min(torch.get_num_threads(), max(1, len(blocks)))) as threads:
        for _ in threads.map(score, blocks):
            pass
    return scores


def _score_block(retrieval: Retrieval, scorers: Sequence[Scorer], queries: range, scores: list[list[Floats]]) -> None:
    from retbench.metrics.counting import count_keys, fill_keys, mark_relevant

    by_ties: dict[Ties, list[int]] = {}
    for index, scorer in enumerate(scorers):
        by_ties.setdefault(scorer.ties, []).append(index)
    keys = np.empty(retrieval.items, np.uint16)
    for query in queries:
        fill_keys(retrieval.query_codes[query], retrieval.database_codes, keys)
        for labels, values in zip(retrieval.query_labels, scores, strict=True):
            mark_relevant(labels[query], retrieval.database_labels, keys)
            counts = count_keys(keys, retrieval.bits)
            groups = TieGroups(counts[:, 0] + counts[:, 1], counts[:, 1].copy())
            for ties, indices in by_ties.items():
                ranks = None if ties == "expected" else _rank_relevant(ties, keys, counts)
                for index in indices:
                    scorer = scorers[index]
                    score = scorer.from_tie_groups(groups) if ranks is None else scorer.from_ranks(ranks)
                    values[index][query] = score


def _rank_relevant(ties: Ties, keys: NDArray[np.uint16], counts: Integers) -> Integers:
    """Return the 1-based ranks of the relevant items, ascending, under a tie rule that fixes the order."""
    from retbench.metrics.counting import rank_extreme, rank_stable

    return rank_stable(keys, counts) if ties == "stable" else rank_extreme(counts, ties == "best")
