"""The order inside a tie: with K bits there are K + 1 distances, so an item shares its distance with many others.

How ties are broken is part of a measurement's protocol:

- `stable`: items at one distance keep the database order. Reproducible, but a database that is sorted by class moves
  the result.
- `expected`: the exact expectation over a uniformly random order inside every tie; independent of the database order.
- `best`: inside every tie the relevant items come first.
- `worst`: inside every tie the relevant items come last.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from retbench.metrics.retrieval import Retrieval

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Ties = Literal["stable", "expected", "best", "worst"]

BLOCK = 32  # queries that a thread takes at a time


class Groups(NamedTuple):
    """The tie groups of one query, by distance 0..bits."""

    sizes: Integers
    relevants: Integers
    """How many of `sizes` are relevant."""


class Score(NamedTuple):
    """How one query is scored, as an array of a fixed width: from a ranking, and in expectation over the rankings."""

    of_ranks: Callable[[Integers], Floats]
    """Takes the 1-based ranks of the relevant items, ascending."""
    of_groups: Callable[[Groups], Floats]


def check_ties(where: str, ties: str) -> None:
    """Refuse a tie rule that does not exist.

    Raises:
        ValueError: `ties` is none of the four rules.
    """
    if ties not in get_args(Ties):
        raise ValueError(f"{where}: unknown tie rule: got {ties!r}, expected one of {', '.join(get_args(Ties))}")


def query_scores(retrieval: Retrieval, ties: Ties, score: Score, width: int) -> Floats:
    """Return the score of every query, (Q, width), on torch.get_num_threads() threads.

    A query costs time in proportion to the database (counted, not sorted) and each thread holds a few numbers per item;
    the result does not depend on the number of threads.
    """
    scores = np.empty((retrieval.queries, width))
    blocks = range(0, retrieval.queries, BLOCK)

    def work(start: int) -> None:
        _score_block(retrieval, ties, score, start, scores[start : start + BLOCK])

    with ThreadPoolExecutor(min(torch.get_num_threads(), max(1, len(blocks)))) as threads:
        for _ in threads.map(work, blocks):
            pass
    return scores


def _score_block(retrieval: Retrieval, ties: Ties, score: Score, start: int, scores: Floats) -> None:
    from retbench.metrics.counting import count_keys, fill_keys, place_relevant

    keys = np.empty(retrieval.items, np.uint16)
    for row, query in enumerate(range(start, start + len(scores))):
        code, label = retrieval.query_codes[query], retrieval.query_labels[query]
        fill_keys(code, retrieval.database_codes, label, retrieval.database_labels, keys)
        counts = count_keys(keys, retrieval.bits)
        groups = Groups(counts.sum(axis=1), counts[:, 1].copy())
        if ties == "expected":
            scores[row] = score.of_groups(groups)
        elif ties == "stable":
            scores[row] = score.of_ranks(place_relevant(keys, counts))
        else:
            scores[row] = score.of_ranks(extreme_ranks(groups, relevant_first=ties == "best"))


def extreme_ranks(groups: Groups, *, relevant_first: bool) -> Integers:
    """Return the 1-based ranks of the relevant items, ascending, when they come first, or last, inside every tie."""
    before = np.cumsum(groups.sizes) - groups.sizes
    if not relevant_first:
        before += groups.sizes - groups.relevants
    hits_before = np.cumsum(groups.relevants) - groups.relevants
    ranks: Integers = np.repeat(before - hits_before, groups.relevants) + np.arange(1, groups.relevants.sum() + 1)
    return ranks
