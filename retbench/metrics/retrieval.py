"""What is ranked, checked once and stored the way the kernels read it."""

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
    query_labels: Words
    """(Q, label words)"""
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
    where: str, query_codes: Tensor, database_codes: Tensor, query_labels: Tensor, database_labels: Tensor, bits: int
) -> Retrieval:
    """Return the four matrices as one Retrieval.

    Args:
        where: the public function that was called, for messages.
        query_codes: packed uint8 (Q, ceil(bits / 8)).
        database_codes: packed uint8 (M, ceil(bits / 8)).
        query_labels: multi-hot uint8 (Q, C).
        database_labels: multi-hot uint8 (M, C).
        bits: the code's length K.

    Raises:
        ValueError: wrong dtype, shape or value in one of them, or two that do not fit together.
    """
    _expect(f"{where}: query_labels: wrong number of rows", len(query_labels), len(query_codes))
    _expect(f"{where}: database_labels: wrong number of rows", len(database_labels), len(database_codes))
    words = Retrieval(
        code_words(f"{where}: query_codes", query_codes, bits),
        code_words(f"{where}: database_codes", database_codes, bits),
        label_words(f"{where}: query_labels", query_labels),
        label_words(f"{where}: database_labels", database_labels),
        bits,
    )
    _expect(f"{where}: database_labels: wrong number of classes", database_labels.shape[1], query_labels.shape[1])
    return words._replace(
        database_codes=np.ascontiguousarray(words.database_codes.T),
        database_labels=np.ascontiguousarray(words.database_labels.T),
    )


def _expect(what: str, got: int, expected: int) -> None:
    if got != expected:
        raise ValueError(f"{what}: got {got}, expected {expected}")
