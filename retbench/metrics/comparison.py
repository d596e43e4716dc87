"""Significance tests of paired differences between two results over the same queries."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from retbench.metrics.statistics import StandardError, combine_variances, standard_error, sum_differences_by_cluster

ROUNDING = 1e-12  # a standard error below this fraction of the mean is due to rounding: all differences are equal


class PairedTest(NamedTuple):
    """A mean paired difference and its two-sided t-test.

    Attributes:
        difference: the mean of first - second, in the unit of the values; NaN without pairs.
        standard_error: the standard error of the difference; infinite if it cannot be estimated.
        degrees_of_freedom: the degrees of freedom of the test; 0 if the standard error cannot be estimated.
        p_value: the probability of a difference at least as large if there is no true difference, 0..1.
    """

    difference: float
    standard_error: float
    degrees_of_freedom: float
    p_value: float


def compare_pairs(first: Tensor, second: Tensor, *, clusters: Tensor | None = None) -> PairedTest:
    """Return the mean of first - second over the same queries (and seeds), with a cluster-robust t-test.

    The standard error is computed from the sums of the clusters, with G - 1 degrees of freedom for G clusters (see
    `bootstrap_interval` for clusters). With S seeds, the variance of the seeds' means is added, and the degrees of
    freedom are at most S - 1: if the means of two seeds agree by chance, an estimated number of degrees of freedom
    would be too large and the test would reject far too often. If either value of a pair is NaN, the pair is ignored.

    Special cases: if all differences are 0, p is 1. If all differences are equal and not 0, the standard error is 0 and
    p is 2^(1 - G), the smallest p that G clusters allow when both signs are equally likely (Fisher's randomization
    test), because t is infinite for any number of clusters. Fewer than two clusters give an infinite standard error, 0
    degrees of freedom and p = 1.

    Args:
        first: floating point (Q,) or (S, Q), one value per query, or per seed and query.
        second: floating point, the same queries in the same order, under the same seeds.
        clusters: int64 (Q,), equal for queries that are not independent; None if all are independent.

    Raises:
        ValueError: an argument has a wrong shape or dtype, the shapes differ, or a value is infinite.

    Source: Cameron and Miller 2015, A Practitioner's Guide to Cluster-Robust Inference; Fisher 1935, The Design of
    Experiments, section 21.

    Example:
        Three queries that differ by 0.25, 0.5 and 0.75; the standard error is 0.25 / sqrt(3):

        >>> import torch
        >>> from retbench.metrics import compare_pairs
        >>> test = compare_pairs(torch.tensor([0.5, 0.75, 1.0]), torch.tensor([0.25, 0.25, 0.25]))
        >>> round(test.difference, 4), round(test.standard_error, 4), test.degrees_of_freedom, round(test.p_value, 4)
        (0.5, 0.1443, 2.0, 0.0742)
    """
    pairs = sum_differences_by_cluster("compare_pairs", first, second, clusters)
    return _t_test(pairs.mean, _limit_freedom(standard_error(pairs), pairs.clusters, pairs.seeds), pairs.clusters)


def compare_many(first: Tensor, second: Tensor, *, clusters: Tensor | None = None) -> list[PairedTest]:
    """Return `compare_pairs` of each of P pairs of results over the same queries (and seeds).

    Without NaN values, all pairs are computed in one pass. No pairs give an empty list.

    Args:
        first: floating point (P, S, Q), for each pair one value per seed and query.
        second: floating point (P, S, Q).
        clusters: int64 (Q,), the same for all pairs; None if all queries are independent.

    Raises:
        ValueError: as in `compare_pairs`.

    Example:
        Two pairs of results, one seed and three queries:

        >>> import torch
        >>> from retbench.metrics import compare_many
        >>> first = torch.tensor([[[0.5, 0.75, 1.0]], [[0.5, 0.5, 0.5]]])
        >>> tests = compare_many(first, torch.full((2, 1, 3), 0.25))
        >>> [round(test.p_value, 4) for test in tests]
        [0.0742, 0.25]
    """
    floating = first.is_floating_point() and second.is_floating_point()
    valid_clusters = clusters is None or (clusters.dtype == torch.int64 and clusters.shape == first.shape[2:])
    finite = first.shape == second.shape and floating and valid_clusters and bool((first - second).isfinite().all())
    if not finite:
        return [compare_pairs(*pair, clusters=clusters) for pair in zip(first, second, strict=True)]
    differences = first.to(torch.float64) - second.to(torch.float64)
    _, seeds, queries = differences.shape
    indices = torch.arange(queries) if clusters is None else torch.unique(clusters, return_inverse=True)[1]
    count = int(indices.max()) + 1 if queries else 0
    if count < 2:
        return [compare_pairs(*pair, clusters=clusters) for pair in zip(first, second, strict=True)]
    sizes = torch.zeros(count, dtype=torch.float64).index_add(0, indices, torch.ones(queries, dtype=torch.float64))
    sums = torch.zeros(*differences.shape[:2], count, dtype=torch.float64).index_add(2, indices, differences)
    means = differences.mean(dim=(1, 2))
    residuals = (sums - means[:, None, None] * sizes) / (seeds * queries)
    axes = [residuals.sum(dim=1)] + ([residuals.sum(dim=2)] if seeds > 1 else [])
    variances = torch.stack([axis.square().sum(dim=1) * axis.shape[1] / (axis.shape[1] - 1) for axis in axes])
    freedoms = [axis.shape[1] - 1 for axis in axes]
    tests = []
    for mean, pair_variances in zip(means.tolist(), variances.T.tolist(), strict=True):
        error = _limit_freedom(combine_variances(pair_variances, freedoms), count, seeds)
        tests.append(_t_test(mean, error, count))
    return tests


def _limit_freedom(error: StandardError, clusters: int, seeds: int) -> StandardError:
    """Return the error with degrees of freedom of at most the smaller number of clusters and seeds, less one."""
    limit = min(clusters, seeds) - 1.0 if seeds > 1 else error.degrees_of_freedom
    return error._replace(degrees_of_freedom=min(limit, error.degrees_of_freedom))


def _t_test(difference: float, error: StandardError, clusters: int) -> PairedTest:
    """Return the test of a mean difference with its standard error, from a number of clusters."""
    freedom = error.degrees_of_freedom
    if clusters < 2:
        return PairedTest(difference, error.value, freedom, 1.0)
    if error.value <= ROUNDING * abs(difference):
        return PairedTest(difference, 0.0, freedom, 2.0 ** (1 - clusters) if difference else 1.0)
    from scipy.special import stdtr

    return PairedTest(difference, error.value, freedom, float(2 * stdtr(freedom, -abs(difference) / error.value)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for multiple tests by Holm's method, in the given order: 0..1.

    Rejecting all hypotheses with an adjusted p-value up to a level rejects a true hypothesis with at most that
    probability, whatever the dependence between the tests. The i-th smallest of m p-values is multiplied by m - i + 1,
    and an adjusted value is never below that of a smaller p-value. Equal p-values stay equal; no p-values give an empty
    list.

    Args:
        p_values: the p-values, each 0..1.

    Raises:
        ValueError: a p-value is NaN or outside 0 to 1.

    Source: Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure.

    Example:
        >>> from retbench.metrics import holm
        >>> holm([0.5, 0.125, 0.25])  # 1 * 0.5, 3 * 0.125 and 2 * 0.25
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


def detectable_difference(
    standard_error: float, degrees_of_freedom: float, *, level: float = 0.05, power: float = 0.8
) -> float:
    """Return the smallest true difference that a two-sided t-test detects with a given probability.

    It is (t_{1 - level / 2} + t_power) * standard_error, with quantiles of Student's distribution, in the unit of the
    standard error. Smaller differences may exist but are often not detected. A standard error of 0 gives 0; 0 degrees
    of freedom give infinity.

    Args:
        standard_error: the standard error of the difference, at least 0.
        degrees_of_freedom: the degrees of freedom of the test, at least 0.
        level: the significance level of the test, between 0 and 1.
        power: the probability of detecting the difference, between `level` and 1.

    Raises:
        ValueError: the standard error is negative, the level or the power is out of range, or an argument is NaN.

    Source: Bloom 1995, Minimum Detectable Effects.

    Example:
        With 30 degrees of freedom, the quantiles are 2.0423 and 0.8538:

        >>> from retbench.metrics import detectable_difference
        >>> round(detectable_difference(0.1, 30), 4)
        0.2896
    """
    if not 0 < level < 1:
        raise ValueError(f"detectable_difference: wrong level: got {level}, expected between 0 and 1")
    if not level < power < 1:
        raise ValueError(f"detectable_difference: wrong power: got {power}, expected between the level {level} and 1")
    if not standard_error >= 0 or math.isnan(degrees_of_freedom):
        raise ValueError(
            f"detectable_difference: wrong standard error: got {standard_error} with {degrees_of_freedom} degrees of "
            "freedom, expected at least 0"
        )
    if degrees_of_freedom <= 0:
        return math.inf
    from scipy.special import stdtrit

    critical = stdtrit(degrees_of_freedom, 1 - level / 2)
    return float((critical + stdtrit(degrees_of_freedom, power)) * standard_error)
