"""What is ranked, checked once and stored the way the kernels read it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from retbench.metrics.words import Words, code_words, label_words


class Retrieval(NamedTuple):
    """Q queries against M database items, as words; the database lies word by word, so that items are side by side."""

    query_codes: Words
    """(Q, words)"""
    database_codes: Words
    """(words, M)"""
    query_labels: tuple[Words, ...]
    """(Q, label words) for each set of labels that decides what is relevant"""
    database_labels: Words
    """(label words, M)"""
    bits: int

    @property
    def queries(self) -> int:
        """How many queries there are."""
        return len(self.query_codes)

    @property
    def items(self) -> int:
        """How many items the database has."""
        return int(self.database_codes.shape[1])


def checked_retrieval(
    where: str,
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Sequence[Tensor],
    database_labels: Tensor,
    bits: int,
) -> Retrieval:
    """Return the matrices as one Retrieval.

    Args:
        where: the public function that was called, for messages.
        query_codes: packed uint8 (Q, ceil(bits / 8)).
        database_codes: packed uint8 (M, ceil(bits / 8)).
        query_labels: sets of multi-hot uint8 (Q, C).
        database_labels: multi-hot uint8 (M, C).
        bits: the code's length K.

    Raises:
        ValueError: wrong dtype, shape or value in one of them, or two that do not fit together.
    """
    names = [f"{where}: query_labels" + (f"[{n}]" if len(query_labels) > 1 else "") for n in range(len(query_labels))]
    for name, labels in zip(names, query_labels, strict=True):
        _expect(f"{name}: wrong number of rows", len(labels), len(query_codes))
    _expect(f"{where}: database_labels: wrong number of rows", len(database_labels), len(database_codes))
    words = Retrieval(
        code_words(f"{where}: query_codes", query_codes, bits),
        code_words(f"{where}: database_codes", database_codes, bits),
        tuple(label_words(name, labels) for name, labels in zip(names, query_labels, strict=True)),
        label_words(f"{where}: database_labels", database_labels),
        bits,
    )
    for labels in query_labels:
        _expect(f"{where}: database_labels: wrong number of classes", database_labels.shape[1], labels.shape[1])
    return words._replace(
        database_codes=np.ascontiguousarray(words.database_codes.T),
        database_labels=np.ascontiguousarray(words.database_labels.T),
    )


def _expect(what: str, got: int, expected: int) -> None:
    if got != expected:
        raise ValueError(f"{what}: got {got}, expected {expected}")
