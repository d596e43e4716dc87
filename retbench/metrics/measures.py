"""Several measures of the same rankings in one pass over the database.

A query's distances to the database are computed once, counted once for each set of query labels, and every measure is
read off those counts, or off the ranks of the relevant items under its tie rule.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retbench.metrics.retrieval import Retrieval, checked_retrieval
from retbench.metrics.ties import Groups, Integers, Ties

Floats = NDArray[np.float64]

BLOCK = 32  # queries that a thread takes at a time


class Score(NamedTuple):
    """How one query is scored, as `width` numbers: from a ranking, or in expectation over the rankings."""

    ties: Ties
    width: int
    of_ranks: Callable[[Integers], Floats]
    """Takes the 1-based ranks of the relevant items, ascending; for every tie rule but `expected`."""
    of_groups: Callable[[Groups], Floats]
    """For the tie rule `expected`."""


class Measure(Protocol):
    """A measure of a ranking with its options: `AveragePrecision`, `PrecisionAt` or `PrecisionRecall`."""

    def score(self, items: int) -> Score:
        """Return how a query is scored in a database of so many items; raise ValueError for a wrong option."""


def measure_rankings(
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Sequence[Tensor],
    database_labels: Tensor,
    *,
    bits: int,
    measures: Sequence[Measure],
) -> list[list[Tensor]]:
    """Return every measure for every set of query labels: a list per set, with a float64 (Q, width) per measure.

    The values are those of `average_precision` (width 1), `precision_at` (width: depths) and `precision_recall`
    (width: recalls), bit for bit; together they cost little more than one of them. Empty cases as there; without label
    sets or measures the lists are empty.

    Args:
        query_codes, database_codes: packed uint8 (Q, ceil(bits / 8)) and (M, ceil(bits / 8)).
        query_labels: sets of multi-hot uint8 (Q, C), such as the queries' own labels and their target labels.
        database_labels: multi-hot uint8 (M, C).
        bits: the codes' length K.
        measures: what to measure.

    Raises:
        ValueError: an argument of a wrong dtype, shape or value, or arguments that do not fit together.

    MAP and T-MAP of one query:

    >>> from retbench.metrics import AveragePrecision, PrecisionAt, pack
    >>> database = pack(torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [-1, -1, -1, -1]], dtype=torch.int8))
    >>> labels = torch.tensor([[1, 0], [1, 0], [0, 1]], dtype=torch.uint8)
    >>> query = pack(torch.tensor([[-1, -1, -1, 1]], dtype=torch.int8))
    >>> own, target = torch.tensor([[1, 0]], dtype=torch.uint8), torch.tensor([[0, 1]], dtype=torch.uint8)
    >>> measures = [AveragePrecision(), PrecisionAt([1])]
    >>> for values in measure_rankings(query, database, [own, target], labels, bits=4, measures=measures):
    ...     print([value.tolist() for value in values])
    [[[0.5833333333333333]], [[0.0]]]
    [[[1.0]], [[1.0]]]
    """
    return measured("measure_rankings", query_codes, database_codes, query_labels, database_labels, bits, measures)


def measured(
    where: str,
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Sequence[Tensor],
    database_labels: Tensor,
    bits: int,
    measures: Sequence[Measure],
) -> list[list[Tensor]]:
    """Return what `measure_rankings` does; messages about the tensors begin with `where`."""
    retrieval = checked_retrieval(where, query_codes, database_codes, query_labels, database_labels, bits)
    scores = [measure.score(retrieval.items) for measure in measures]
    return [[torch.from_numpy(values) for values in found] for found in query_scores(retrieval, scores)]


def query_scores(retrieval: Retrieval, scores: Sequence[Score]) -> list[list[Floats]]:
    """Return the scores of every query, (Q, width) for each label set and score, on torch.get_num_threads() threads.

    A query costs time in proportion to the database (counted, not sorted) and each thread holds a few numbers per item;
    the result does not depend on the number of threads.
    """
    found = [[np.empty((retrieval.queries, score.width)) for score in scores] for _ in retrieval.query_labels]
    blocks = range(0, retrieval.queries, BLOCK)

    def work(start: int) -> None:
        _score_block(retrieval, scores, range(start, min(start + BLOCK, retrieval.queries)), found)

    with ThreadPoolExecutor(min(torch.get_num_threads(), max(1, len(blocks)))) as threads:
        for _ in threads.map(work, blocks):
            pass
    return found


def _score_block(retrieval: Retrieval, scores: Sequence[Score], queries: range, found: list[list[Floats]]) -> None:
    from retbench.metrics.counting import count_keys, fill_keys, mark_relevant

    by_ties: dict[Ties, list[int]] = {}
    for index, score in enumerate(scores):
        by_ties.setdefault(score.ties, []).append(index)
    keys = np.empty(retrieval.items, np.uint16)
    for query in queries:
        fill_keys(retrieval.query_codes[query], retrieval.database_codes, keys)
        for labels, values in zip(retrieval.query_labels, found, strict=True):
            mark_relevant(labels[query], retrieval.database_labels, keys)
            counts = count_keys(keys, retrieval.bits)
            groups = Groups(counts[:, 0] + counts[:, 1], counts[:, 1].copy())
            for ties, indices in by_ties.items():
                ranks = None if ties == "expected" else _ranks(ties, keys, counts)
                for index in indices:
                    score = scores[index]
                    values[index][query] = score.of_groups(groups) if ranks is None else score.of_ranks(ranks)


def _ranks(ties: Ties, keys: NDArray[np.uint16], counts: Integers) -> Integers:
    """Return the 1-based ranks of the relevant items, ascending, under a tie rule that fixes an order."""
    from retbench.metrics.counting import place_extreme, place_relevant

    return place_relevant(keys, counts) if ties == "stable" else place_extreme(counts, ties == "best")
