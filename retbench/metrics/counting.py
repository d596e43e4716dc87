"""Kernels that count distances instead of sorting them: with K bits there are only K + 1, so a histogram is a ranking.

Imported on first use only (see `compiled`). Words are uint64; a database is stored word by word, (words, items), so
that the inner loops run over items side by side.
"""

import numpy as np
from numpy.typing import NDArray

from retbench.metrics.compiled import compiled

Integers = NDArray[np.int64]
Keys = NDArray[np.uint16]
Words = NDArray[np.uint64]

# Unsigned constants, because numba turns uint64 with a Python integer into float64.
ONE, TWO, FOUR, TOP = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)
EVEN = np.uint16(0xFFFE)
PAIRS, NIBBLES = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
BYTES, SUM = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)


@compiled()
def ones(word: np.uint64) -> np.uint64:
    """Return how many bits of a word are set, in the form that LLVM knows as a popcount instruction."""
    word = word - ((word >> ONE) & PAIRS)
    word = (word & NIBBLES) + ((word >> TWO) & NIBBLES)
    return (((word + (word >> FOUR)) & BYTES) * SUM) >> TOP


@compiled()
def fill_distances(queries: Words, database: Words, distances: NDArray[np.int16]) -> None:
    """Write the Hamming distances of queries (Q, words) to database (words, M) into `distances` (Q, M)."""
    for query in range(queries.shape[0]):
        row = distances[query]
        row[:] = 0
        for word in range(database.shape[0]):
            code, items = queries[query, word], database[word]
            for item in range(row.size):
                row[item] += np.int16(ones(code ^ items[item]))


@compiled()
def fill_keys(code: Words, database_codes: Words, keys: Keys) -> None:
    """Write 2 x distance of every item to one query into `keys` (M,): code (words,)."""
    keys[:] = 0
    for word in range(code.size):
        own, items = code[word], database_codes[word]
        for item in range(keys.size):
            keys[item] += np.uint16(ones(own ^ items[item]) << ONE)


@compiled()
def mark_relevant(label: Words, database_labels: Words, keys: Keys) -> None:
    """Write the relevance of every item to one query into the lowest bit of `keys` (M,): label (words,)."""
    for item in range(keys.size):
        keys[item] &= EVEN
    for word in range(label.size):
        own, items = label[word], database_labels[word]
        for item in range(keys.size):
            keys[item] |= np.uint16((own & items[item]) != 0)


@compiled()
def count_keys(keys: Keys, bits: int) -> Integers:
    """Return the histogram of keys, (bits + 1, 2): a row for a distance, irrelevant items first, then relevant ones.

    A key is 2 x distance + relevance.
    """
    lanes = np.zeros((4, 2 * bits + 2), np.int64)  # four, because consecutive items often meet in one counter
    for item in range(keys.size):
        lanes[item & 3, keys[item]] += 1
    counts: Integers = lanes[0] + lanes[1] + lanes[2] + lanes[3]
    return counts.reshape((bits + 1, 2))


@compiled()
def place_relevant(keys: Keys, counts: Integers) -> Integers:
    """Return the 1-based ranks of the relevant items, ascending, when items at one distance keep the database order.

    `counts` is the histogram of `keys`. This is one pass of a counting sort: an item's rank is what came before its
    distance plus its place among the items of that distance.
    """
    before, slots, total, relevant = np.empty(len(counts), np.int64), np.empty(len(counts), np.int64), 0, 0
    for distance in range(len(counts)):
        before[distance], slots[distance] = total, relevant
        total += counts[distance, 0] + counts[distance, 1]
        relevant += counts[distance, 1]
    ranks = np.empty(
        relevant + 1, np.int64
    )  # the last place takes what is irrelevant: a store is cheaper than a branch
    for key in keys:
        distance, hit = key >> 1, key & 1
        rank, slot = before[distance] + 1, slots[distance]  # read once: the compiler cannot know that the arrays differ
        ranks[slot if hit else relevant] = rank
        before[distance], slots[distance] = rank, slot + hit
    return ranks[:relevant]


@compiled()
def place_extreme(counts: Integers, relevant_first: bool) -> Integers:
    """Return the 1-based ranks of the relevant items, ascending, when they come first, or last, inside every tie.

    `counts` is the histogram of the keys.
    """
    ranks = np.empty(counts[:, 1].sum(), np.int64)
    before, slot = 0, 0
    for distance in range(len(counts)):
        irrelevant, relevant = counts[distance, 0], counts[distance, 1]
        first = before + 1 if relevant_first else before + irrelevant + 1
        for place in range(relevant):
            ranks[slot + place] = first + place
        before += irrelevant + relevant
        slot += relevant
    return ranks
