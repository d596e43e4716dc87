"""Confidence intervals for means of values between 0 and 1 that keep their coverage near 0 and near 1."""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from retbench.metrics.statistics import (
    BLOCK_SIZE,
    CACHED_BLOCKS,
    NAN,
    ClusterSums,
    Interval,
    check_draws,
    draw_counts,
    standard_error,
    sum_by_cluster,
    tail_probability,
)

ROUNDING = 1e-9
"""How far a value may be outside 0 to 1."""


def bounded_interval(
    values: Tensor,
    *,
    clusters: Tensor | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the mean of values between 0 and 1, such as average precisions, with its confidence interval.

    A bootstrap knows only the failures that it has seen: without one among 100 queries its interval is a point,
    although one query in a hundred may fail. So the lower bound adds a failure that was not seen, and the upper bound a
    success: the clusters of queries get random weights (exponential, so that their shares are uniform over all
    mixtures), one more cluster with the values 0 or 1 gets a weight too, and the bound is the quantile of the weighted
    mean at (1 - level) / 2, or at the other end. This cluster is as large as that of an average query. For independent
    values that are 0 or 1, this is the exact interval of Clopper and Pearson. For other independent values in 0..1, its
    coverage is a conjecture without a known counterexample. With clusters it is measured: `benchmarks/coverage.py`.

    With several seeds, these are drawn with replacement, independently of the weights of clusters, and the bounds are
    the wider percentiles of `bootstrap_interval`, which allow for few seeds.

    NaN values are ignored (in that seed only). Without any value, all three numbers are NaN. With a single value or
    cluster, the bounds are NaN. The interval depends only on the arguments.

    Args:
        values: floating point (Q,), one value in 0..1 per query, or (S, Q), the same queries under S seeds.
        clusters: int64 (Q,), equal for queries that are not independent; None if all are independent.
        level: the confidence level, between 0 and 1.
        resamples: the number of random weightings, at least 1.
        seed: the seed of the weights, at least 0.

    Raises:
        ValueError: an argument has a wrong shape, dtype or value.

    Source: Gaffke 2005, Three Test Statistics for a Nonparametric One-Sided Hypothesis on the Mean of a Nonnegative
    Variable; Learned-Miller and Thomas 2019, A New Confidence Interval for the Mean of a Bounded Random Variable;
    Rubin 1981, The Bayesian Bootstrap (the weights).

    Example:
        Without a failure among 100 queries, up to 3.6 % may fail (1 - 0.025 ** (1 / 100)):

        >>> import torch
        >>> from retbench.metrics import bounded_interval
        >>> interval = bounded_interval(torch.ones(100), resamples=100_000)
        >>> interval.value, round(interval.low, 3), interval.high
        (1.0, 0.964, 1.0)
    """
    check_draws("bounded_interval", level, resamples, seed)
    totals = sum_by_cluster("bounded_interval", values, clusters)
    known = values[~values.isnan()]
    if known.numel() and not (float(known.min()) >= -ROUNDING and float(known.max()) <= 1 + ROUNDING):
        got = f"{float(known.min()):.6g} to {float(known.max()):.6g}"
        raise ValueError(f"bounded_interval: values: out of range: got {got}, expected 0 to 1")
    value = totals.mean
    if math.isnan(value) or totals.clusters == 1:
        return Interval(value, NAN, NAN)
    tail = (1 - level) / 2
    if totals.seeds > 1:
        tail = tail_probability(level, standard_error(totals).degrees_of_freedom)
    low, high = (_weighted_means(totals, bound, resamples, seed).sort().values for bound in (0.0, 1.0))
    index = math.floor(tail * (resamples - 1))
    return Interval(value, min(value, float(low[index])), max(value, float(high[-1 - index])))


def _weighted_means(totals: ClusterSums, bound: float, resamples: int, seed: int) -> Tensor:
    """Return the means of random weightings of the clusters and of one more, whose values are `bound`."""
    size = totals.sizes.square().sum(dim=1, keepdim=True) / totals.sizes.sum(dim=1, keepdim=True)
    sums, sizes = torch.cat([totals.sums, bound * size], 1), torch.cat([totals.sizes, size], 1)
    means, step = [], max(1, BLOCK_SIZE // max(sums.shape))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        weights = _draw_weights(sums.shape[1], rows, (seed, start, 0))
        seeds = draw_counts(totals.seeds, rows, (seed, start, 1))
        means.append((weights @ sums.T * seeds).sum(dim=1) / (weights @ sizes.T * seeds).sum(dim=1))
    return torch.cat(means)


@lru_cache(maxsize=CACHED_BLOCKS)
def _draw_weights(count: int, rows: int, seed: tuple[int, int, int]) -> Tensor:
    """Return random weights of `count` objects, exponentially distributed with mean 1: float64 (rows, count)."""
    return torch.from_numpy(np.random.default_rng(seed).exponential(size=(rows, count)))
