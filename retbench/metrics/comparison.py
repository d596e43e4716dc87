"""Tests of paired differences: whether two results over the same queries differ by more than the queries do."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from retbench.metrics.statistics import StandardError, combine_parts, standard_error, tally_pairs

ROUNDING = 1e-12  # a standard error below this part of the difference is rounding: the differences are equal


class PairedTest(NamedTuple):
    """A mean paired difference and its two-sided t-test.

    Attributes:
        difference: the mean of first - second, in the values' units; NaN without a pair.
        error: its standard error; infinite where it cannot be estimated.
        freedom: degrees of freedom; 0 where the error cannot be estimated.
        p: how often differences at least so large would be seen if there were none: 0..1.
    """

    difference: float
    error: float
    freedom: float
    p: float


def compare_pairs(first: Tensor, second: Tensor, *, clusters: Tensor | None = None) -> PairedTest:
    """Return the mean of first - second over the same queries (and seeds), with a cluster-robust t-test of it.

    The error is that of `standard_error`: from the clusters' totals with G - 1 degrees of freedom; under S seeds plus
    what the seeds' means vary by, with no more than S - 1, because two seeds whose means happen to agree say little of
    how seeds vary: an estimated number of degrees of freedom would reject far too often. A NaN on either side drops
    the pair.

    Cases without a t: differences that are all zero have p = 1. Equal ones that are not zero have error 0 and p =
    2^(1 - G), the least that G clusters can show when each sign is as likely as the other (Fisher's randomization
    test), for t is infinite however few they are. Fewer than two clusters separate nothing: an infinite error, 0
    degrees of freedom, p = 1.

    Args:
        first: floating point (Q,) or (S, Q), one per query, or per seed and query.
        second: floating point, the same queries in the same order, under the same seeds.
        clusters: int64 (Q,), equal where queries are not independent; None where all are.

    Raises:
        ValueError: a wrong shape or dtype, different shapes, or an infinite value.

    Source: Cameron and Miller 2015, A Practitioner's Guide to Cluster-Robust Inference; Fisher 1935, The Design of
    Experiments, section 21.
    """
    pairs = tally_pairs("compare_pairs", first, second, clusters)
    return _tested(pairs.mean, _cautious(standard_error(pairs), pairs.clusters, pairs.seeds), pairs.clusters)


def compare_many(first: Tensor, second: Tensor, *, clusters: Tensor | None = None) -> list[PairedTest]:
    """Return `compare_pairs` of each of P pairs over the same queries (and seeds), in one pass where nothing is NaN.

    Args:
        first: floating point (P, S, Q): for each pair one value per seed and query.
        second: floating point (P, S, Q).
        clusters: int64 (Q,), the same for all pairs; None where all queries are independent.

    Raises:
        ValueError: as `compare_pairs`.
    """
    floating = first.is_floating_point() and second.is_floating_point()
    fitting = clusters is None or (clusters.dtype == torch.int64 and clusters.shape == first.shape[2:])
    if first.shape != second.shape or not (floating and fitting) or not bool((first - second).isfinite().all()):
        return [compare_pairs(one, other, clusters=clusters) for one, other in zip(first, second, strict=True)]
    differences = first.to(torch.float64) - second.to(torch.float64)
    _, seeds, queries = differences.shape
    places = torch.arange(queries) if clusters is None else torch.unique(clusters, return_inverse=True)[1]
    count = int(places.max()) + 1 if queries else 0
    if count < 2:
        return [compare_pairs(one, other, clusters=clusters) for one, other in zip(first, second, strict=True)]
    sizes = torch.zeros(count, dtype=torch.float64).index_add(0, places, torch.ones(queries, dtype=torch.float64))
    sums = torch.zeros(*differences.shape[:2], count, dtype=torch.float64).index_add(2, places, differences)
    means = differences.mean(dim=(1, 2))
    residuals = (sums - means[:, None, None] * sizes) / (seeds * queries)
    sides = [residuals.sum(dim=1)] + ([residuals.sum(dim=2)] if seeds > 1 else [])
    parts = torch.stack([side.square().sum(dim=1) * side.shape[1] / (side.shape[1] - 1) for side in sides])
    found = zip(means.tolist(), parts.T.tolist(), strict=True)
    freedoms = [side.shape[1] - 1 for side in sides]
    errors = ((mean, combine_parts(shares, freedoms)) for mean, shares in found)
    return [_tested(mean, _cautious(error, count, seeds), count) for mean, error in errors]


def _cautious(uncertainty: StandardError, clusters: int, seeds: int) -> StandardError:
    """Return an error with the fewest degrees of freedom that any of its parts was estimated with."""
    fewest = min(clusters, seeds) - 1.0 if seeds > 1 else uncertainty.freedom
    return uncertainty._replace(freedom=min(fewest, uncertainty.freedom))


def _tested(difference: float, uncertainty: StandardError, clusters: int) -> PairedTest:
    """Return the test of a mean difference of so many clusters."""
    error, freedom = uncertainty
    if clusters < 2:
        return PairedTest(difference, error, freedom, 1.0)
    if error <= ROUNDING * abs(difference):
        return PairedTest(difference, 0.0, freedom, 2.0 ** (1 - clusters) if difference else 1.0)
    from scipy.special import stdtr

    return PairedTest(difference, error, freedom, float(2 * stdtr(freedom, -abs(difference) / error)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for being several, in the given order: 0..1, each at least what it was.

    Rejecting what is below a level then errs on any true hypothesis with at most that probability, however the tests
    depend on each other. The i-th smallest of m is multiplied by m - i + 1 and is never below a smaller one. Equal
    values stay equal; empty gives empty.

    Raises:
        ValueError: a value that is NaN or outside 0 to 1.

    Source: Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure.

    >>> holm([0.5, 0.125, 0.25])
    [0.5, 0.375, 0.5]
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise ValueError(f"holm: not a p-value: got {p}, expected 0 to 1")
    values = np.asarray(p_values, dtype=np.float64)
    order = values.argsort(kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(scaled).clip(max=1)
    return [float(value) for value in adjusted]


def detectable_difference(error: float, freedom: float, *, level: float = 0.05, power: float = 0.8) -> float:
    """Return the true difference that a two-sided t-test finds with a given probability, in the error's units.

    It is (t_{1 - level / 2} + t_power) * error, with quantiles of Student's distribution. What is smaller may well be
    there without being found. An error of 0 gives 0; no degrees of freedom give infinity.

    Args:
        error: the standard error of the difference, at least 0.
        freedom: its degrees of freedom.
        level: the test's, between 0 and 1.
        power: the probability of finding the difference, between the level (where there is none to find) and 1.

    Raises:
        ValueError: a negative error, a level or power out of range, or NaN.

    Source: Bloom 1995, Minimum Detectable Effects.
    """
    if not 0 < level < 1:
        raise ValueError(f"detectable_difference: wrong level: got {level}, expected between 0 and 1")
    if not level < power < 1:
        raise ValueError(f"detectable_difference: wrong power: got {power}, expected between the level {level} and 1")
    if not error >= 0 or math.isnan(freedom):
        raise ValueError(
            f"detectable_difference: no standard error: got {error} with freedom {freedom}, expected at least 0"
        )
    if freedom <= 0:
        return math.inf
    from scipy.special import stdtrit

    return float((stdtrit(freedom, 1 - level / 2) + stdtrit(freedom, power)) * error)
