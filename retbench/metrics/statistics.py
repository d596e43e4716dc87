"""Uncertainty of a number that is a mean over queries: bootstrap intervals, from a generator of their own.

Queries that share a cluster (equal target labels) are not independent of each other, so whole clusters are the unit of
everything here; without clusters every query is one of its own.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

CELLS = 1 << 20  # drawn counts held in one block (8 MiB); another size gives other draws
BLOCKS = 16  # blocks kept: a report asks for thousands of intervals over the same queries
NAN = float("nan")

Statistic = Literal["mean", "rms"]


class Interval(NamedTuple):
    """A value and the confidence interval around it, in the value's own units.

    The bounds are NaN where nothing can be said of the value's uncertainty: one query, or one cluster of them.
    """

    value: float
    low: float
    high: float


class Tally(NamedTuple):
    """The values that are left once NaN is dropped: their sums and their numbers, float64 (S, G) by seed and cluster.

    Every seed and every cluster has at least one value.
    """

    sums: Tensor
    sizes: Tensor

    @property
    def seeds(self) -> int:
        return self.sums.shape[0]

    @property
    def clusters(self) -> int:
        return self.sums.shape[1]

    @property
    def mean(self) -> float:
        """The mean of all values; NaN without one."""
        return float(self.sums.sum() / self.sizes.sum())


class StandardError(NamedTuple):
    """The standard error of a mean, in its units, and the degrees of freedom that it was estimated with."""

    error: float
    freedom: float


def bootstrap_interval(
    values: Tensor,
    *,
    clusters: Tensor | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    statistic: Statistic = "mean",
) -> Interval:
    """Return a statistic of the values with its bootstrap interval over queries, and over seeds if there are several.

    Whole clusters are drawn with replacement; what is resampled is the sum over the size of all that was drawn, a ratio
    where clusters differ in size. Of values under several seeds, clusters and seeds are drawn independently of each
    other, which errs on the wide side (what only one query shows under only one seed counts more than once).

    The bounds are percentiles of the resampled values, taken further out the fewer clusters there are, for a plain
    percentile interval of n values is too narrow by sqrt((n - 1) / n) and takes its variance for known: the tail
    probability is Phi(-sqrt(n / (n - 1)) t), with t the quantile of Student's distribution with n - 1 degrees of
    freedom. n is the number of clusters; under several seeds n - 1 is the Welch-Satterthwaite number of
    `standard_error`, so a seed counts by its share in the variance: seeds that agree leave the number of clusters, and
    only where the seeds are all that varies is it their number. The bounds are order statistics, rounded outwards, and
    always hold the value; infinities are kept as they are. No bound lies beyond the most extreme draw, so where the
    seeds are most of what varies, two of them cover the truth in about two thirds of all cases whatever the level, and
    three in about nine tenths.

    NaN marks a dropped query (in that seed only), as in `mean_average_precision`. Without any value all three numbers
    are NaN. With one value or one cluster the bounds are: nothing can be said of its uncertainty. The same arguments
    give the same interval, whatever the numbers that clusters carry, and torch's global generator is left alone.

    Args:
        values: floating point (Q,), one per query, or (S, Q), the same queries under S seeds.
        clusters: int64 (Q,), equal where queries are not independent; None where all are.
        level: the interval's coverage, between 0 and 1.
        resamples: how many times the queries are drawn.
        seed: of the draws, at least 0.
        statistic: `mean`, or `rms`: the root of the mean, for squared errors (then in their root's units, see
            `perceptibility`).

    Raises:
        ValueError: a wrong shape, dtype, level, number of resamples, seed or statistic, or a negative value under
            `rms`.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3; Hesterberg 2015, What Teachers
    Should Know About the Bootstrap (the expanded percentile interval); Field and Welsh 2007, Bootstrapping Clustered
    Data, and Cameron, Gelbach and Miller 2008, Bootstrap-Based Improvements for Inference with Clustered Errors (whole
    clusters); Owen 2007, The Pigeonhole Bootstrap (queries crossed with seeds).

    >>> bootstrap_interval(torch.tensor([0.25, 0.25, float("nan")]))
    Interval(value=0.25, low=0.25, high=0.25)
    """
    _check_draws("bootstrap_interval", level, resamples, seed)
    if statistic not in get_args(Statistic):
        raise ValueError(f"bootstrap_interval: unknown statistic: got {statistic!r}, expected one of mean, rms")
    counted = tally("bootstrap_interval", values, clusters)
    if statistic == "rms" and bool((values < 0).any()):
        least = float(values[values < 0].min())
        raise ValueError(f"bootstrap_interval: values: no root mean: got {least}, expected at least 0")
    interval = _interval(counted, level, resamples, seed)
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
    """Return the mean of first - second over the same queries (and seeds), with its bootstrap interval.

    Both values of a query are drawn together, so what the queries have in common cancels: much narrower than the
    difference of two separate intervals. A NaN on either side drops the pair. Everything else as in
    `bootstrap_interval`.

    Args:
        first: floating point (Q,) or (S, Q), one per query, or per seed and query.
        second: floating point, the same queries in the same order, under the same seeds.
        clusters: int64 (Q,), equal where queries are not independent; None where all are.
        level: the interval's coverage, between 0 and 1.
        resamples: how many times the queries are drawn.
        seed: of the draws, at least 0.

    Raises:
        ValueError: a wrong shape, dtype, level, number of resamples or seed, different shapes, or an infinite value
            (its difference to another one is undefined).

    >>> paired_difference(torch.tensor([0.5, 0.75]), torch.tensor([0.25, 0.5]))
    Interval(value=0.25, low=0.25, high=0.25)
    """
    _check_draws("paired_difference", level, resamples, seed)
    counted = tally_pairs("paired_difference", first, second, clusters)
    return _interval(counted, level, resamples, seed)


def tally(where: str, values: Tensor, clusters: Tensor | None) -> Tally:
    """Return the sums and sizes of values (Q,) or (S, Q) by seed and cluster; NaN is dropped, infinities are kept.

    Clusters follow each other as they first appear, so that the numbers they carry are of no consequence.

    Raises:
        ValueError: a wrong shape or dtype, in the name of `where`.
    """
    _check_values(f"{where}: values", values)
    if clusters is not None and (clusters.dtype != torch.int64 or clusters.shape != values.shape[-1:]):
        got, expected = f"{clusters.dtype} {tuple(clusters.shape)}", f"torch.int64 {tuple(values.shape[-1:])}"
        raise ValueError(f"{where}: clusters: wrong shape or dtype: got {got}, expected {expected}")
    values = (values[None] if values.ndim == 1 else values).cpu().to(torch.float64)
    present = ~values.isnan()
    seeds, queries = present.any(dim=1), present.any(dim=0)
    values, present = values[seeds][:, queries], present[seeds][:, queries]
    places = torch.arange(values.shape[1]) if clusters is None else _places(clusters.cpu()[queries])
    zeros = torch.zeros(len(values), int(places.max()) + 1 if len(places) else 0, dtype=torch.float64)
    sums = zeros.index_add(1, places, torch.where(present, values, 0))
    return Tally(sums, zeros.index_add(1, places, present.to(torch.float64)))


def tally_pairs(where: str, first: Tensor, second: Tensor, clusters: Tensor | None) -> Tally:
    """Return the sums and sizes of first - second by seed and cluster; a NaN on either side drops the pair.

    Raises:
        ValueError: a wrong shape or dtype, different shapes, or an infinite value, in the name of `where`.
    """
    for name, values in (("first", first), ("second", second)):
        _check_values(f"{where}: {name}", values)
        if bool(values.isinf().any()):
            raise ValueError(f"{where}: {name}: undefined difference: got an infinite value, expected finite or NaN")
    if first.shape != second.shape:
        got, expected = tuple(second.shape), tuple(first.shape)
        raise ValueError(f"{where}: second: not the same queries: got {got}, expected {expected}")
    return tally(where, first.cpu().to(torch.float64) - second.cpu().to(torch.float64), clusters)


def standard_error(counted: Tally) -> StandardError:
    """Return the cluster-robust standard error of the mean of a tally, and its degrees of freedom.

    With one seed it is sqrt(G / (G - 1) * sum over clusters of (sum - mean * size)^2) / N, of N values in G clusters,
    with G - 1 degrees of freedom; where every value is a cluster, the usual standard deviation / sqrt(N). Under several
    seeds the same form over seeds is added to the variance (where no value was dropped: the standard deviation of the
    seeds' means / sqrt(S)), and the degrees of freedom are those of Welch and Satterthwaite. What only one query shows
    under only one seed is then in both parts, so the error is a little too large: the safe side.

    With fewer than two clusters nothing can be estimated: an infinite error, 0 degrees of freedom.

    Source: Cameron and Miller 2015, A Practitioner's Guide to Cluster-Robust Inference; Satterthwaite 1946, An
    Approximate Distribution of Estimates of Variance Components.
    """
    if counted.clusters < 2:
        return StandardError(math.inf, 0.0)
    residuals = (counted.sums - counted.mean * counted.sizes) / counted.sizes.sum()
    sides = [residuals.sum(dim=0)] + ([residuals.sum(dim=1)] if counted.seeds > 1 else [])
    parts = [float(side.square().sum()) * len(side) / (len(side) - 1) for side in sides]
    return combine_parts(parts, [len(side) - 1 for side in sides])


def combine_parts(parts: Sequence[float], freedoms: Sequence[int]) -> StandardError:
    """Return the root of the sum of variances and its degrees of freedom, the first part's where nothing varies."""
    total = sum(parts)
    if len(parts) == 1 or not total > 0:  # nothing varies, or infinitely
        return StandardError(math.sqrt(total), float(freedoms[0]))
    shares = ((part / total) ** 2 / freedom for part, freedom in zip(parts, freedoms, strict=True))
    return StandardError(math.sqrt(total), 1 / sum(shares))


def _check_values(where: str, values: Tensor) -> None:
    if values.ndim not in (1, 2):
        raise ValueError(f"{where}: wrong shape: got {tuple(values.shape)}, expected (Q,) or (S, Q)")
    if not values.is_floating_point():
        raise ValueError(f"{where}: wrong dtype: got {values.dtype}, expected floating point")


def _check_draws(where: str, level: float, resamples: int, seed: int) -> None:
    if not 0 < level < 1:
        raise ValueError(f"{where}: wrong level: got {level}, expected between 0 and 1")
    if resamples < 1:
        raise ValueError(f"{where}: wrong number of resamples: got {resamples}, expected at least 1")
    if seed < 0:
        raise ValueError(f"{where}: wrong seed: got {seed}, expected at least 0")


def _places(clusters: Tensor) -> Tensor:
    _, first, numbers = np.unique(clusters.numpy(), return_index=True, return_inverse=True)
    return torch.from_numpy(first.argsort().argsort()[numbers])


def _interval(counted: Tally, level: float, resamples: int, seed: int) -> Interval:
    value = counted.mean
    if math.isnan(value) or counted.clusters == 1:
        return Interval(value, NAN, NAN)
    means = _resampled_means(counted, resamples, seed).sort().values
    tail = math.floor(_tail(level, standard_error(counted).freedom) * (len(means) - 1))
    bounds = [float(means[tail]), float(means[-1 - tail])] if len(means) else []
    return Interval(value, min([value, *bounds]), max([value, *bounds]))


def _tail(level: float, freedom: float) -> float:
    """Return what is left outside each bound of an expanded percentile interval."""
    from scipy.special import ndtr, stdtrit

    return float(ndtr(-math.sqrt((freedom + 1) / freedom) * stdtrit(freedom, 1 - (1 - level) / 2)))


def _resampled_means(counted: Tally, resamples: int, seed: int) -> Tensor:
    """Return the mean of every resample that holds a value: with gaps under some seeds, one may hold none."""
    infinite = counted.sums.isinf()
    finite, infinities = counted.sums.masked_fill(infinite, 0), set(counted.sums[infinite].tolist())
    means, step = [], max(1, CELLS // max(counted.sums.shape))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        clusters = _drawn(counted.clusters, rows, (seed, start, 0))
        seeds = _drawn(counted.seeds, rows, (seed, start, 1))
        totals, sizes = _weighted(clusters, finite, seeds), _weighted(clusters, counted.sizes, seeds)
        for infinity in infinities:  # apart, for a weight of 0 times infinity would be NaN
            totals[_weighted(clusters, (counted.sums == infinity).to(torch.float64), seeds) > 0] += infinity
        means.append((totals / sizes)[sizes > 0])
    return torch.cat(means)


def _weighted(clusters: Tensor, cells: Tensor, seeds: Tensor) -> Tensor:
    """Return the sum of `cells` (S, G) for each resample, weighted by how often cluster and seed were drawn."""
    return (clusters @ cells.T * seeds).sum(dim=1)


@lru_cache(maxsize=BLOCKS)
def _drawn(count: int, rows: int, seed: tuple[int, int, int]) -> Tensor:
    """Return how often each of `count` things was drawn in `count` draws with replacement: float64 (rows, count)."""
    drawn = torch.from_numpy(np.random.default_rng(seed).integers(count, size=(rows, count)))
    once = torch.ones_like(drawn, dtype=torch.float64)
    return torch.zeros_like(once).scatter_add_(1, drawn, once)
