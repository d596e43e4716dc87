"""Who is relevant to whom: items whose multi-hot labels share at least one class. An all-zero label shares none."""

import numpy as np
import torch
from torch import Tensor

from retbench.metrics.words import label_words

CELLS = 1 << 22  # pairs compared at once


def relevant_counts(query_labels: Tensor, database_labels: Tensor) -> Tensor:
    """Return how many database items are relevant to each query: int64 (Q,), on the CPU.

    An empty database gives zeros; no queries give an empty tensor.

    Args:
        query_labels: multi-hot uint8 (Q, C).
        database_labels: multi-hot uint8 (M, C).

    Raises:
        ValueError: wrong dtype or shape, a value other than 0 and 1, or a different number of classes.

    >>> queries = torch.tensor([[1, 0], [0, 0]], dtype=torch.uint8)
    >>> relevant_counts(queries, torch.tensor([[1, 1], [0, 1], [1, 0]], dtype=torch.uint8))
    tensor([2, 0])
    """
    queries = label_words("relevant_counts: query_labels", query_labels)
    database = label_words("relevant_counts: database_labels", database_labels)
    if query_labels.shape[1] != database_labels.shape[1]:
        got, expected = database_labels.shape[1], query_labels.shape[1]
        raise ValueError(f"relevant_counts: database_labels: wrong number of classes: got {got}, expected {expected}")
    distinct, copies = np.unique(database, axis=0, return_counts=True)
    counts, step = np.zeros(len(queries), np.int64), max(1, CELLS // max(1, len(distinct)))
    for start in range(0, len(queries), step):
        shared = queries[start : start + step, None] & distinct
        counts[start : start + step] = shared.any(axis=2) @ copies
    return torch.from_numpy(counts)


def chance_level(query_labels: Tensor, database_labels: Tensor) -> float:
    """Return the mean fraction of the database that is relevant to a query, 0..1: about the MAP of a random ranking.

    With target labels for query labels it is the chance level of T-MAP, without which a T-MAP says little: it depends
    on how the targets were drawn. An empty database gives 0, no queries give NaN.

    Args:
        query_labels: multi-hot uint8 (Q, C).
        database_labels: multi-hot uint8 (M, C).

    Raises:
        ValueError: as `relevant_counts`.

    >>> labels = torch.eye(4, dtype=torch.uint8)
    >>> chance_level(labels, labels)
    0.25
    """
    counts = relevant_counts(query_labels, database_labels)
    return float(counts.to(torch.float64).mean()) / max(1, len(database_labels))
