"""Kernels for exact expectations over a uniformly random order inside every tie group.

Imported on first use only (see `compiled`). A tie group is `size` items at one distance, `relevant` of them relevant,
with `before` items in front of it, `hits` of them relevant. Every sum below has only non-negative terms, so nothing
cancels; the probabilities grow from their mode outwards by exact ratios and are normalized by their sum, so nothing
overflows.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench.metrics.compiled import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NEGLIGIBLE = 1e-30  # of the mode's probability: far below what a float64 sum can hold


class Chances(NamedTuple):
    """Probabilities of first, first + 1, ...; what is not listed is negligible."""

    first: int
    weights: Floats


@compiled()
def drawn_hits(size: int, relevant: int, drawn: int) -> Chances:
    """Return the chances of each number of relevant items among `drawn` of `size` (hypergeometric)."""
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
    return Chances(low, weights / weights.sum())


@compiled()
def waiting_places(size: int, relevant: int, nth: int) -> Chances:
    """Return the chances of each 1-based place of the nth relevant item in a random order (negative hypergeometric)."""
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
    return Chances(first, weights / weights.sum())


@compiled(reassociate=True)
def whole_group(before: int, hits: int, size: int, relevant: int) -> float:
    """Return the expected sum of (hits so far) / rank over the relevant items of a tie group that counts as a whole.

    Each of the `size` places is relevant with the same chance, and then has its share of the other relevant items in
    front of it: (relevant / size) x sum over j of (hits + 1 + (j - 1)(relevant - 1) / (size - 1)) / (before + j).
    """
    share = (relevant - 1) / (size - 1) if size > 1 else 0.0
    total = 0.0
    for place in range(size):
        total += (hits + 1 + share * place) / (before + 1 + place)
    return total * relevant / size


@compiled()
def cut_by_depth(before: int, hits: int, size: int, relevant: int, visible: int, total: float, skip: bool) -> float:
    """Return the expected average precision when only the first `visible` places of the last tie group are in sight.

    `total` is what the groups in front gave. The number of relevant items in sight is hypergeometric; given it, the
    places in sight are in random order and the divisor is known. With `skip`, the expectation is over the orders that
    have a hit (NaN without any).
    """
    level, slope = 0.0, 0.0
    for place in range(visible):
        level += 1.0 / (before + 1 + place)
        slope += place / (before + 1 + place)
    first, weights = drawn_hits(size, relevant, visible)
    mean, mass = 0.0, 0.0
    for index in range(weights.size):
        found = first + index
        if hits + found > 0:
            share = (found - 1) / (visible - 1) if visible > 1 else 0.0
            gained = found / visible * ((hits + 1) * level + share * slope)
            mean += weights[index] * (total + gained) / (hits + found)
            mass += weights[index]
    if not skip:
        return mean
    return mean / mass if mass > 0.0 else np.nan


@compiled()
def cut_by_hits(before: int, hits: int, size: int, relevant: int, wanted: int) -> float:
    """Return the expected sum of (hits so far) / rank over the first `wanted` of the `relevant` items of a tie group.

    A place j counts if it is relevant and fewer than `wanted` of the other relevant - 1 items lie in front of it, that
    is if the item number `wanted` of those waits until place j or later. The mean number in front, where it counts, is
    their share of the j - 1 places times the chance that item number wanted - 1 of the remaining relevant - 2 waits
    until place j - 1 or later.
    """
    share = (relevant - 1) / (size - 1)
    others_first, others = waiting_places(size - 1, relevant - 1, wanted)
    rest_first, rest = others_first, np.zeros(0)
    if wanted > 1:
        rest_first, rest = waiting_places(size - 2, relevant - 2, wanted - 1)
    total, others_wait, rest_wait = 0.0, 0.0, 0.0
    for place in range(size, 0, -1):
        if 0 <= place - others_first < others.size:
            others_wait += others[place - others_first]
        if 0 <= place - 1 - rest_first < rest.size:
            rest_wait += rest[place - 1 - rest_first]
        total += ((hits + 1) * others_wait + (place - 1) * share * rest_wait) / (before + place)
    return total * relevant / size


@compiled()
def expected_average_precision(sizes: Integers, relevants: Integers, depth: int, limit: int, skip: bool) -> float:
    """Return the expected average precision over the first `depth` ranks and the first `limit` relevant items.

    `sizes` and `relevants` (bits + 1,) describe the tie groups by distance; at most one of the two bounds cuts the
    ranking. A query without a hit gives 0, or NaN with `skip`.
    """
    before, hits, total = 0, 0, 0.0
    for distance in range(sizes.size):
        if before >= depth or hits >= limit:
            break
        size, relevant = sizes[distance], relevants[distance]
        if before + size > depth:
            return cut_by_depth(before, hits, size, relevant, depth - before, total, skip)
        if hits + relevant > limit:
            return (total + cut_by_hits(before, hits, size, relevant, limit - hits)) / limit
        if relevant > 0:
            total += whole_group(before, hits, size, relevant)
        before += size
        hits += relevant
    if hits == 0:
        return np.nan if skip else 0.0
    return total / hits


@compiled()
def fill_expected_precision(sizes: Integers, relevants: Integers, wanted: Integers, precisions: Floats) -> None:
    """Write the expected precision at the rank of each `wanted` relevant item (from 1, present) into `precisions`."""
    for index in range(wanted.size):
        before, hits, distance = 0, 0, 0
        while hits + relevants[distance] < wanted[index]:
            before += sizes[distance]
            hits += relevants[distance]
            distance += 1
        first, weights = waiting_places(sizes[distance], relevants[distance], wanted[index] - hits)
        mean = 0.0
        for offset in range(weights.size):
            mean += weights[offset] / (before + first + offset)
        precisions[index] = mean * wanted[index]
