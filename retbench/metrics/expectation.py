"""Kernels for exact expectations over a uniformly random order inside every tie group.

Import this module on first use only (see `compiled`). A tie group consists of `size` items at the same distance, of
which `relevant` are relevant; `before` items rank in front of the group, `hits` of them relevant. All sums have only
non-negative terms, so nothing cancels. Probabilities are computed from their mode outwards by exact ratios and
normalized by their sum, so nothing overflows.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench.metrics.compiled import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NEGLIGIBLE = 1e-30  # relative to the mode's probability: far below the resolution of a float64 sum


class Distribution(NamedTuple):
    """The probabilities of the integers first, first + 1, ...; all other integers have a negligible probability."""

    first: int
    probabilities: Floats


@compiled()
def hypergeometric(size: int, relevant: int, drawn: int) -> Distribution:
    """Return the distribution of the number of relevant items among `drawn` items drawn from the group."""
    low, high = max(0, drawn - (size - relevant)), min(relevant, drawn)
    mode = min(max((drawn + 1) * (relevant + 1) // (size + 2), low), high)
    weights = np.zeros(high - low + 1)
    weights[mode - low] = 1.0
    for hits in range(mode, high):
        if weights[hits - low] < NEGLIGIBLE:
            break
        odds = (relevant - hits) / (hits + 1) * ((drawn - hits) / (size - relevant - drawn + hits + 1))
        weights[hits + 1 - low] = weights[hits - low] * odds
    for hits in range(mode, low, -1):
        if weights[hits - low] < NEGLIGIBLE:
            break
        odds = hits / (relevant - hits + 1) * ((size - relevant - drawn + hits) / (drawn - hits + 1))
        weights[hits - 1 - low] = weights[hits - low] * odds
    return Distribution(low, weights / weights.sum())


@compiled()
def negative_hypergeometric(size: int, relevant: int, nth: int) -> Distribution:
    """Return the distribution of the 1-based position of the nth relevant item in a random order of the group."""
    low, high = nth, size - relevant + nth
    mode = high if relevant == 1 else min(max((nth - 1) * size // (relevant - 1), low), high)
    weights = np.zeros(high - low + 1)
    weights[mode - low] = 1.0
    first, last = mode, mode
    while last < high and weights[last - low] > NEGLIGIBLE:
        odds = last / (last - nth + 1) * ((size - last - relevant + nth) / (size - last))
        weights[last + 1 - low] = weights[last - low] * odds
        last += 1
    while first > low and weights[first - low] > NEGLIGIBLE:
        odds = (first - nth) / (first - 1) * ((size - first + 1) / (size - first + 1 - relevant + nth))
        weights[first - 1 - low] = weights[first - low] * odds
        first -= 1
    weights = weights[first - low : last - low + 1]
    return Distribution(first, weights / weights.sum())


@compiled(reassociate=True)
def sum_whole_group(before: int, hits: int, size: int, relevant: int) -> float:
    """Return the expected sum of (hits so far) / rank over the relevant items of a group that counts as a whole.

    Each of the `size` positions is relevant with the same probability, and a relevant position has its share of the
    other relevant items in front of it. The sum is (relevant / size) times the sum over the positions j of
    (hits + 1 + (j - 1) (relevant - 1) / (size - 1)) / (before + j).
    """
    share = (relevant - 1) / (size - 1) if size > 1 else 0.0
    total = 0.0
    for position in range(size):
        total += (hits + 1 + share * position) / (before + 1 + position)
    return total * relevant / size


@compiled()
def cut_at_depth(before: int, hits: int, size: int, relevant: int, visible: int, total: float, skip: bool) -> float:
    """Return the expected average precision when the depth cuts the last group after `visible` positions.

    `total` is the sum over the groups in front. The number of relevant items among the visible ones is hypergeometric.
    Given this number, the visible items are in random order and the divisor is known. With `skip`, the expectation is
    over the orders that have a hit (NaN if none has).
    """
    level, slope = 0.0, 0.0
    for position in range(visible):
        level += 1.0 / (before + 1 + position)
        slope += position / (before + 1 + position)
    first, probabilities = hypergeometric(size, relevant, visible)
    mean, mass = 0.0, 0.0
    for index in range(probabilities.size):
        found = first + index
        if hits + found > 0:
            share = (found - 1) / (visible - 1) if visible > 1 else 0.0
            gained = found / visible * ((hits + 1) * level + share * slope)
            mean += probabilities[index] * (total + gained) / (hits + found)
            mass += probabilities[index]
    if not skip:
        return mean
    return mean / mass if mass > 0.0 else np.nan


@compiled()
def sum_first_hits(before: int, hits: int, size: int, relevant: int, wanted: int) -> float:
    """Return the expected sum of (hits so far) / rank over the first `wanted` of the `relevant` items of a group.

    Position j counts if it is relevant and fewer than `wanted` of the other relevant - 1 items are in front of it, that
    is, if the `wanted`-th of them is at position j or later. The expected number of relevant items in front of a
    counting position is their share of the j - 1 positions, times the probability that item number wanted - 1 of the
    remaining relevant - 2 is at position j - 1 or later.
    """
    share = (relevant - 1) / (size - 1)
    others_first, others = negative_hypergeometric(size - 1, relevant - 1, wanted)
    rest_first, rest = others_first, np.zeros(0)
    if wanted > 1:
        rest_first, rest = negative_hypergeometric(size - 2, relevant - 2, wanted - 1)
    total, others_later, rest_later = 0.0, 0.0, 0.0
    for position in range(size, 0, -1):
        if 0 <= position - others_first < others.size:
            others_later += others[position - others_first]
        if 0 <= position - 1 - rest_first < rest.size:
            rest_later += rest[position - 1 - rest_first]
        total += ((hits + 1) * others_later + (position - 1) * share * rest_later) / (before + position)
    return total * relevant / size


@compiled()
def expected_average_precision(sizes: Integers, relevant: Integers, depth: int, limit: int, skip: bool) -> float:
    """Return the expected average precision over the first `depth` ranks and the first `limit` relevant items.

    `sizes` and `relevant` (bits + 1,) describe the tie groups by distance. At most one of `depth` and `limit` may cut
    the ranking. A query without a hit gives 0, or NaN with `skip`.
    """
    before, hits, total = 0, 0, 0.0
    for distance in range(sizes.size):
        if before >= depth or hits >= limit:
            break
        group_size, group_relevant = sizes[distance], relevant[distance]
        if before + group_size > depth:
            return cut_at_depth(before, hits, group_size, group_relevant, depth - before, total, skip)
        if hits + group_relevant > limit:
            return (total + sum_first_hits(before, hits, group_size, group_relevant, limit - hits)) / limit
        if group_relevant > 0:
            total += sum_whole_group(before, hits, group_size, group_relevant)
        before += group_size
        hits += group_relevant
    if hits == 0:
        return np.nan if skip else 0.0
    return total / hits


@compiled()
def fill_expected_precision(sizes: Integers, relevant: Integers, wanted: Integers, precisions: Floats) -> None:
    """Write the expected precision at the rank of each `wanted` relevant item (1-based) into `precisions`.

    `sizes` and `relevant` (bits + 1,) describe the tie groups by distance; every wanted item must exist.
    """
    for index in range(wanted.size):
        before, hits, distance = 0, 0, 0
        while hits + relevant[distance] < wanted[index]:
            before += sizes[distance]
            hits += relevant[distance]
            distance += 1
        first, probabilities = negative_hypergeometric(sizes[distance], relevant[distance], wanted[index] - hits)
        mean = 0.0
        for offset in range(probabilities.size):
            mean += probabilities[offset] / (before + first + offset)
        precisions[index] = mean * wanted[index]
