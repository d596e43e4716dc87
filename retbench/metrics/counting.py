"""Kernels that rank by counting: K bits give only K + 1 distances, so a histogram of distances replaces a sort.

Import this module on first use only (see `compiled`). Words are uint64. The database is stored word by word, (words,
items), so that the inner loops run over neighboring items.
"""

import numpy as np
from numpy.typing import NDArray

from retbench.metrics.compiled import compiled

Integers = NDArray[np.int64]
Keys = NDArray[np.uint16]
Words = NDArray[np.uint64]

# Unsigned constants, because numba turns uint64 with a Python integer into float64.
ONE, TWO, FOUR, TOP = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)
EVEN_MASK = np.uint16(0xFFFE)
PAIR_MASK, NIBBLE_MASK = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
BYTE_MASK, BYTE_SUM = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)


@compiled()
def count_ones(word: np.uint64) -> np.uint64:
    """Return the number of set bits of a word, in the form that LLVM compiles to a popcount instruction."""
    word = word - ((word >> ONE) & PAIR_MASK)
    word = (word & NIBBLE_MASK) + ((word >> TWO) & NIBBLE_MASK)
    return (((word + (word >> FOUR)) & BYTE_MASK) * BYTE_SUM) >> TOP


@compiled()
def fill_distances(queries: Words, database: Words, distances: NDArray[np.int16]) -> None:
    """Write the Hamming distances of queries (Q, words) and database (words, M) into `distances` (Q, M)."""
    for query in range(queries.shape[0]):
        row = distances[query]
        row[:] = 0
        for word in range(database.shape[0]):
            code, items = queries[query, word], database[word]
            for item in range(row.size):
                row[item] += np.int16(count_ones(code ^ items[item]))


@compiled()
def fill_keys(code: Words, database_codes: Words, keys: Keys) -> None:
    """Write 2 x distance of each item to one query into `keys` (M,); code (words,), database_codes (words, M)."""
    keys[:] = 0
    for word in range(code.size):
        query_word, items = code[word], database_codes[word]
        for item in range(keys.size):
            keys[item] += np.uint16(count_ones(query_word ^ items[item]) << ONE)


@compiled()
def mark_relevant(label: Words, database_labels: Words, keys: Keys) -> None:
    """Write the relevance of each item to one query into the lowest bit of `keys` (M,).

    `label` is (label words,), `database_labels` (label words, M).
    """
    for item in range(keys.size):
        keys[item] &= EVEN_MASK
    for word in range(label.size):
        query_word, items = label[word], database_labels[word]
        for item in range(keys.size):
            keys[item] |= np.uint16((query_word & items[item]) != 0)


@compiled()
def count_keys(keys: Keys, bits: int) -> Integers:
    """Return the histogram of keys: int64 (bits + 1, 2), for each distance the irrelevant and the relevant items.

    A key is 2 x distance + relevance.
    """
    counters = np.zeros((4, 2 * bits + 2), np.int64)  # four, because consecutive items often have the same key
    for item in range(keys.size):
        counters[item & 3, keys[item]] += 1
    counts: Integers = counters[0] + counters[1] + counters[2] + counters[3]
    return counts.reshape((bits + 1, 2))


@compiled()
def rank_stable(keys: Keys, counts: Integers) -> Integers:
    """Return the 1-based ranks of the relevant items, ascending, where tied items keep the database order.

    `counts` is the histogram of `keys`. This is one pass of a counting sort: an item's rank is the number of items at
    smaller distances plus its position among the items at its own distance.
    """
    before, slots, total, relevant = np.empty(len(counts), np.int64), np.empty(len(counts), np.int64), 0, 0
    for distance in range(len(counts)):
        before[distance], slots[distance] = total, relevant
        total += counts[distance, 0] + counts[distance, 1]
        relevant += counts[distance, 1]
    # irrelevant items write to the extra last entry, because a store is cheaper than a branch
    ranks = np.empty(relevant + 1, np.int64)
    for key in keys:
        distance, hit = key >> 1, key & 1
        rank, slot = before[distance] + 1, slots[distance]  # read once: the compiler cannot know that the arrays differ
        ranks[slot if hit else relevant] = rank
        before[distance], slots[distance] = rank, slot + hit
    return ranks[:relevant]


@compiled()
def rank_extreme(counts: Integers, relevant_first: bool) -> Integers:
    """Return the 1-based ranks of the relevant items, ascending, where they come first, or last, inside every tie.

    `counts` is the histogram of the keys.
    """
    ranks = np.empty(counts[:, 1].sum(), np.int64)
    before, slot = 0, 0
    for distance in range(len(counts)):
        irrelevant, relevant = counts[distance, 0], counts[distance, 1]
        first = before + 1 if relevant_first else before + irrelevant + 1
        for offset in range(relevant):
            ranks[slot + offset] = first + offset
        before += irrelevant + relevant
        slot += relevant
    return ranks
