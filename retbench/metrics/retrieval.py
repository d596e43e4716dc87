"""The inputs of a retrieval measurement, checked once and stored in the layout of the kernels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from retbench.metrics.words import Words, code_words, label_words


class Retrieval(NamedTuple):
    """Codes and labels of Q queries and M database items, as words.

    The database is stored word by word, so that neighboring items are neighbors in memory.

    Attributes:
        query_codes: (Q, words).
        database_codes: (words, M).
        query_labels: (Q, label words) for each set of query labels.
        database_labels: (label words, M).
        bits: the code length.
    """

    query_codes: Words
    database_codes: Words
    query_labels: tuple[Words, ...]
    database_labels: Words
    bits: int

    @property
    def queries(self) -> int:
        """Number of queries."""
        return len(self.query_codes)

    @property
    def items(self) -> int:
        """Number of database items."""
        return int(self.database_codes.shape[1])


def check_retrieval(
    caller: str,
    query_codes: Tensor,
    database_codes: Tensor,
    query_labels: Sequence[Tensor],
    database_labels: Tensor,
    bits: int,
) -> Retrieval:
    """Return the matrices as a Retrieval after checking them.

    Args:
        caller: the public function that was called, for messages.
        query_codes: packed codes, uint8 (Q, ceil(bits / 8)).
        database_codes: packed codes, uint8 (M, ceil(bits / 8)).
        query_labels: sets of labels, each multi-hot uint8 (Q, C).
        database_labels: labels, multi-hot uint8 (M, C).
        bits: the code length.

    Raises:
        ValueError: an argument has a wrong dtype, shape or value, or two arguments have different sizes.
    """
    names = [f"{caller}: query_labels" + (f"[{n}]" if len(query_labels) > 1 else "") for n in range(len(query_labels))]
    for name, labels in zip(names, query_labels, strict=True):
        _check_equal(f"{name}: wrong number of rows", len(labels), len(query_codes))
    _check_equal(f"{caller}: database_labels: wrong number of rows", len(database_labels), len(database_codes))
    words = Retrieval(
        code_words(f"{caller}: query_codes", query_codes, bits),
        code_words(f"{caller}: database_codes", database_codes, bits),
        tuple(label_words(name, labels) for name, labels in zip(names, query_labels, strict=True)),
        label_words(f"{caller}: database_labels", database_labels),
        bits,
    )
    for labels in query_labels:
        _check_equal(f"{caller}: database_labels: wrong number of classes", database_labels.shape[1], labels.shape[1])
    return words._replace(
        database_codes=np.ascontiguousarray(words.database_codes.T),
        database_labels=np.ascontiguousarray(words.database_labels.T),
    )


def _check_equal(problem: str, got: int, expected: int) -> None:
    if got != expected:
        raise ValueError(f"{problem}: got {got}, expected {expected}")
