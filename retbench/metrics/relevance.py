"""Relevance of database items: an item is relevant to a query if their multi-hot labels share at least one class.

An item without a class is relevant to no query.
"""

import numpy as np
import torch
from torch import Tensor

from retbench.metrics.words import label_words

MAX_PAIRS = 1 << 22  # pairs of a query and a label vector compared at once


def relevant_counts(query_labels: Tensor, database_labels: Tensor) -> Tensor:
    """Return the number of relevant database items of each query: int64 (Q,), on the CPU.

    An empty database gives zeros; no queries give an empty tensor.

    Args:
        query_labels: multi-hot uint8 (Q, C).
        database_labels: multi-hot uint8 (M, C).

    Raises:
        ValueError: the labels have a wrong dtype or shape, a value other than 0 and 1, or different numbers of classes.

    Example:
        >>> import torch
        >>> from retbench.metrics import relevant_counts
        >>> queries = torch.tensor([[1, 0], [0, 0]], dtype=torch.uint8)
        >>> database = torch.tensor([[1, 1], [0, 1], [1, 0]], dtype=torch.uint8)
        >>> relevant_counts(queries, database)
        tensor([2, 0])
    """
    queries = label_words("relevant_counts: query_labels", query_labels)
    database = label_words("relevant_counts: database_labels", database_labels)
    if query_labels.shape[1] != database_labels.shape[1]:
        got, expected = database_labels.shape[1], query_labels.shape[1]
        raise ValueError(f"relevant_counts: database_labels: wrong number of classes: got {got}, expected {expected}")
    distinct, copies = np.unique(database, axis=0, return_counts=True)
    counts, step = np.zeros(len(queries), np.int64), max(1, MAX_PAIRS // max(1, len(distinct)))
    for start in range(0, len(queries), step):
        shared = queries[start : start + step, None] & distinct
        counts[start : start + step] = shared.any(axis=2) @ copies
    return torch.from_numpy(counts)


def chance_level(query_labels: Tensor, database_labels: Tensor) -> float:
    """Return the mean fraction of the database that is relevant to a query, 0..1: about the MAP of a random ranking.

    With target labels in place of the query labels it is the chance level of T-MAP, which depends on the rule that the
    targets are drawn by. An empty database gives 0; no queries give NaN.

    Args:
        query_labels: multi-hot uint8 (Q, C).
        database_labels: multi-hot uint8 (M, C).

    Raises:
        ValueError: as in `relevant_counts`.

    Example:
        >>> import torch
        >>> from retbench.metrics import chance_level
        >>> labels = torch.eye(4, dtype=torch.uint8)  # each item is relevant to one query of four
        >>> chance_level(labels, labels)
        0.25
    """
    counts = relevant_counts(query_labels, database_labels)
    return float(counts.to(torch.float64).mean()) / max(1, len(database_labels))
