"""Uncertainty of a mean over queries: bootstrap confidence intervals and standard errors.

Queries of the same cluster (for example with the same target label vector) are not independent, so whole clusters are
the unit of all computations. Without clusters, every query is a cluster of its own.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

BLOCK_SIZE = 1 << 20  # draw counts in memory at once (8 MiB); another size gives other random draws
CACHED_BLOCKS = 16  # blocks kept in memory: a report computes thousands of intervals over the same queries
NAN = float("nan")

Statistic = Literal["mean", "rms"]


class Interval(NamedTuple):
    """A value and its confidence interval, all in the unit of the value.

    Attributes:
        value: the value.
        low: the lower bound; NaN if the uncertainty cannot be estimated (one query, or one cluster of queries).
        high: the upper bound; NaN like the lower one.
    """

    value: float
    low: float
    high: float


class ClusterSums(NamedTuple):
    """Values summed by seed and cluster, without NaN; every seed and every cluster has at least one value.

    Attributes:
        sums: the sum of the values, float64 (S, G) for S seeds and G clusters.
        sizes: the number of values, float64 (S, G).
    """

    sums: Tensor
    sizes: Tensor

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return self.sums.shape[0]

    @property
    def clusters(self) -> int:
        """Number of clusters."""
        return self.sums.shape[1]

    @property
    def mean(self) -> float:
        """The mean of all values; NaN without values."""
        return float(self.sums.sum() / self.sizes.sum())


class StandardError(NamedTuple):
    """The standard error of a mean and its degrees of freedom.

    Attributes:
        value: the standard error, in the unit of the mean; infinite if it cannot be estimated.
        degrees_of_freedom: the degrees of freedom of the estimate; 0 if it cannot be estimated.
    """

    value: float
    degrees_of_freedom: float


def bootstrap_interval(
    values: Tensor,
    *,
    clusters: Tensor | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    statistic: Statistic = "mean",
) -> Interval:
    """Return a statistic of the values and its bootstrap confidence interval over queries and, if several, over seeds.

    Each resample draws whole clusters with replacement and takes the mean of all drawn values. With several seeds,
    clusters and seeds are drawn independently of each other, which makes the interval slightly too wide, because
    variation of a single query under a single seed counts more than once.

    The bounds are percentiles of the resampled values. Plain percentiles of n values are too narrow by the factor
    sqrt((n - 1) / n) and treat the variance as known. So the tail probability is Phi(-sqrt(n / (n - 1)) t), where t is
    the quantile of Student's distribution with n - 1 degrees of freedom. n is the number of clusters. With several
    seeds, n - 1 is the Welch-Satterthwaite number of degrees of freedom: about that of the clusters if the seeds vary
    little, and the number of seeds less one if all variance is between seeds. The bounds are order statistics, rounded
    outwards, and always include the value. Infinite values stay infinite.

    No bound lies beyond the most extreme resample. So if most of the variance is between seeds, two seeds cover the
    true value in about two thirds of all cases and three seeds in about nine tenths, whatever the level.

    NaN values are ignored (in that seed only), as in `mean_average_precision`. Without any value, all three numbers are
    NaN. With a single value or cluster, the bounds are NaN. The interval depends only on the arguments, not on the
    numbers that clusters have, and torch's global generator is not used.

    Args:
        values: floating point (Q,), one value per query, or (S, Q), the same queries under S seeds.
        clusters: int64 (Q,), equal for queries that are not independent; None if all are independent.
        level: the confidence level, between 0 and 1.
        resamples: the number of resamples, at least 1.
        seed: the seed of the resampling, at least 0.
        statistic: `mean`; or `rms`, the root of the mean, for squared errors (the interval then has the unit of their
            root, see `perceptibility`).

    Raises:
        ValueError: an argument has a wrong shape, dtype or value, or a value is negative under `rms`.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3; Hesterberg 2015, What Teachers
    Should Know About the Bootstrap (expanded percentile interval); Field and Welsh 2007, Bootstrapping Clustered Data,
    and Cameron, Gelbach and Miller 2008, Bootstrap-Based Improvements for Inference with Clustered Errors (whole
    clusters); Owen 2007, The Pigeonhole Bootstrap (queries crossed with seeds).

    Example:
        >>> import torch
        >>> from retbench.metrics import bootstrap_interval
        >>> bootstrap_interval(torch.tensor([0.25, 0.25, float("nan")]))
        Interval(value=0.25, low=0.25, high=0.25)
    """
    check_draws("bootstrap_interval", level, resamples, seed)
    if statistic not in get_args(Statistic):
        raise ValueError(f"bootstrap_interval: unknown statistic: got {statistic!r}, expected one of mean, rms")
    totals = sum_by_cluster("bootstrap_interval", values, clusters)
    if statistic == "rms" and bool((values < 0).any()):
        minimum = float(values[values < 0].min())
        raise ValueError(f"bootstrap_interval: values: negative under rms: got {minimum}, expected at least 0")
    interval = _compute_interval(totals, level, resamples, seed)
    return interval if statistic == "mean" else Interval(*map(math.sqrt, interval))


def paired_difference(
    first: Tensor,
    second: Tensor,
    *,
    clusters: Tensor | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the mean of first - second over the same queries (and seeds), with its bootstrap confidence interval.

    Both values of a query are drawn together, so that variation that the queries have in common cancels: the interval
    is much narrower than the difference of two separate intervals. If either value of a pair is NaN, the pair is
    ignored. Everything else is as in `bootstrap_interval`.

    Args:
        first: floating point (Q,) or (S, Q), one value per query, or per seed and query.
        second: floating point, the same queries in the same order, under the same seeds.
        clusters: int64 (Q,), equal for queries that are not independent; None if all are independent.
        level: the confidence level, between 0 and 1.
        resamples: the number of resamples, at least 1.
        seed: the seed of the resampling, at least 0.

    Raises:
        ValueError: an argument has a wrong shape, dtype or value, the shapes differ, or a value is infinite.

    Example:
        >>> import torch
        >>> from retbench.metrics import paired_difference
        >>> paired_difference(torch.tensor([0.5, 0.75]), torch.tensor([0.25, 0.5]))
        Interval(value=0.25, low=0.25, high=0.25)
    """
    check_draws("paired_difference", level, resamples, seed)
    totals = sum_differences_by_cluster("paired_difference", first, second, clusters)
    return _compute_interval(totals, level, resamples, seed)


def sum_by_cluster(caller: str, values: Tensor, clusters: Tensor | None) -> ClusterSums:
    """Return the values summed by seed and cluster.

    NaN values are ignored, infinite ones are kept. Clusters are in the order of their first query, so that their
    numbers do not matter.

    Args:
        caller: the public function that was called, for messages.
        values: floating point (Q,) or (S, Q).
        clusters: int64 (Q,), or None if all queries are independent.

    Raises:
        ValueError: an argument has a wrong shape or dtype.
    """
    _check_values(f"{caller}: values", values)
    if clusters is not None and (clusters.dtype != torch.int64 or clusters.shape != values.shape[-1:]):
        got, expected = f"{clusters.dtype} {tuple(clusters.shape)}", f"torch.int64 {tuple(values.shape[-1:])}"
        raise ValueError(f"{caller}: clusters: wrong shape or dtype: got {got}, expected {expected}")
    values = (values[None] if values.ndim == 1 else values).cpu().to(torch.float64)
    present = ~values.isnan()
    seeds, queries = present.any(dim=1), present.any(dim=0)
    values, present = values[seeds][:, queries], present[seeds][:, queries]
    indices = torch.arange(values.shape[1]) if clusters is None else _index_clusters(clusters.cpu()[queries])
    zeros = torch.zeros(len(values), int(indices.max()) + 1 if len(indices) else 0, dtype=torch.float64)
    sums = zeros.index_add(1, indices, torch.where(present, values, 0))
    return ClusterSums(sums, zeros.index_add(1, indices, present.to(torch.float64)))


def sum_differences_by_cluster(caller: str, first: Tensor, second: Tensor, clusters: Tensor | None) -> ClusterSums:
    """Return first - second summed by seed and cluster; pairs with a NaN are ignored.

    Args:
        caller: the public function that was called, for messages.
        first: floating point (Q,) or (S, Q).
        second: floating point, of the same shape.
        clusters: int64 (Q,), or None if all queries are independent.

    Raises:
        ValueError: an argument has a wrong shape or dtype, the shapes differ, or a value is infinite.
    """
    for name, values in (("first", first), ("second", second)):
        _check_values(f"{caller}: {name}", values)
        if bool(values.isinf().any()):
            raise ValueError(f"{caller}: {name}: undefined difference: got an infinite value, expected finite or NaN")
    if first.shape != second.shape:
        got, expected = tuple(second.shape), tuple(first.shape)
        raise ValueError(f"{caller}: second: not the same queries: got {got}, expected {expected}")
    return sum_by_cluster(caller, first.cpu().to(torch.float64) - second.cpu().to(torch.float64), clusters)


def standard_error(totals: ClusterSums) -> StandardError:
    """Return the cluster-robust standard error of a mean and its degrees of freedom.

    With one seed, the error of N values in G clusters is sqrt(G / (G - 1) * sum over clusters of
    (sum - mean * size)^2) / N, with G - 1 degrees of freedom; if every value is a cluster, this is the usual standard
    deviation / sqrt(N). With several seeds, the same expression over seeds is added to the variance (without missing
    values: the variance of the seeds' means / S), and the degrees of freedom are those of Welch and Satterthwaite.
    Variation of a single query under a single seed is then in both terms, so that the error is slightly too large,
    which is the safe side.

    Fewer than two clusters give an infinite error and 0 degrees of freedom.

    Source: Cameron and Miller 2015, A Practitioner's Guide to Cluster-Robust Inference; Satterthwaite 1946, An
    Approximate Distribution of Estimates of Variance Components.
    """
    if totals.clusters < 2:
        return StandardError(math.inf, 0.0)
    residuals = (totals.sums - totals.mean * totals.sizes) / totals.sizes.sum()
    axes = [residuals.sum(dim=0)] + ([residuals.sum(dim=1)] if totals.seeds > 1 else [])
    variances = [float(axis.square().sum()) * len(axis) / (len(axis) - 1) for axis in axes]
    return combine_variances(variances, [len(axis) - 1 for axis in axes])


def combine_variances(variances: Sequence[float], degrees_of_freedom: Sequence[int]) -> StandardError:
    """Return the root of the sum of variances and its degrees of freedom by Welch and Satterthwaite.

    If all variances are 0, the degrees of freedom are those of the first one.
    """
    total = sum(variances)
    if len(variances) == 1 or not total > 0:  # zero, or NaN from infinite values
        return StandardError(math.sqrt(total), float(degrees_of_freedom[0]))
    shares = (
        (variance / total) ** 2 / freedom for variance, freedom in zip(variances, degrees_of_freedom, strict=True)
    )
    return StandardError(math.sqrt(total), 1 / sum(shares))


def _check_values(argument: str, values: Tensor) -> None:
    if values.ndim not in (1, 2):
        raise ValueError(f"{argument}: wrong shape: got {tuple(values.shape)}, expected (Q,) or (S, Q)")
    if not values.is_floating_point():
        raise ValueError(f"{argument}: wrong dtype: got {values.dtype}, expected floating point")


def check_draws(caller: str, level: float, resamples: int, seed: int) -> None:
    """Raise ValueError if the options of an interval are out of range; messages start with the caller's name."""
    if not 0 < level < 1:
        raise ValueError(f"{caller}: wrong level: got {level}, expected between 0 and 1")
    if resamples < 1:
        raise ValueError(f"{caller}: wrong number of resamples: got {resamples}, expected at least 1")
    if seed < 0:
        raise ValueError(f"{caller}: wrong seed: got {seed}, expected at least 0")


def _index_clusters(clusters: Tensor) -> Tensor:
    """Return the index of the cluster of each query, int64 (Q,); clusters are numbered by their first query."""
    _, first, numbers = np.unique(clusters.numpy(), return_index=True, return_inverse=True)
    return torch.from_numpy(first.argsort().argsort()[numbers])


def _compute_interval(totals: ClusterSums, level: float, resamples: int, seed: int) -> Interval:
    value = totals.mean
    if math.isnan(value) or totals.clusters == 1:
        return Interval(value, NAN, NAN)
    means = _resample_means(totals, resamples, seed).sort().values
    tail = tail_probability(level, standard_error(totals).degrees_of_freedom)
    index = math.floor(tail * (len(means) - 1))
    bounds = [float(means[index]), float(means[-1 - index])] if len(means) else []
    return Interval(value, min([value, *bounds]), max([value, *bounds]))


def tail_probability(level: float, freedom: float) -> float:
    """Return the probability beyond each bound of an expanded percentile interval."""
    from scipy.special import ndtr, stdtrit

    return float(ndtr(-math.sqrt((freedom + 1) / freedom) * stdtrit(freedom, 1 - (1 - level) / 2)))


def _resample_means(totals: ClusterSums, resamples: int, seed: int) -> Tensor:
    """Return the means of all resamples that contain a value; with missing values, a resample may contain none."""
    infinite = totals.sums.isinf()
    finite, infinities = totals.sums.masked_fill(infinite, 0), set(totals.sums[infinite].tolist())
    means, step = [], max(1, BLOCK_SIZE // max(totals.sums.shape))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        clusters = draw_counts(totals.clusters, rows, (seed, start, 0))
        seeds = draw_counts(totals.seeds, rows, (seed, start, 1))
        sums, sizes = _weighted_sums(clusters, finite, seeds), _weighted_sums(clusters, totals.sizes, seeds)
        for infinity in infinities:  # separately, because a weight of 0 times infinity would be NaN
            sums[_weighted_sums(clusters, (totals.sums == infinity).to(torch.float64), seeds) > 0] += infinity
        means.append((sums / sizes)[sizes > 0])
    return torch.cat(means)


def _weighted_sums(clusters: Tensor, values: Tensor, seeds: Tensor) -> Tensor:
    """Return the sum of `values` (S, G) in each resample, weighted by the draw counts of its clusters and seeds."""
    return (clusters @ values.T * seeds).sum(dim=1)


@lru_cache(maxsize=CACHED_BLOCKS)
def draw_counts(count: int, rows: int, seed: tuple[int, int, int]) -> Tensor:
    """Return the draw counts of `count` objects in `count` draws with replacement: float64 (rows, count)."""
    drawn = torch.from_numpy(np.random.default_rng(seed).integers(count, size=(rows, count)))
    ones = torch.ones_like(drawn, dtype=torch.float64)
    return torch.zeros_like(ones).scatter_add_(1, drawn, ones)
