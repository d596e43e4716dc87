"""Uncertainty of a number that is a mean over queries: percentile bootstrap, from a generator of its own."""

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

CELLS = 1 << 20  # drawn values held at once
NAN = float("nan")

Statistic = Literal["mean", "rms"]


class Interval(NamedTuple):
    """A value and the confidence interval around it, in the value's own units."""

    value: float
    low: float
    high: float


def bootstrap_interval(
    values: Tensor, *, level: float = 0.95, resamples: int = 2000, seed: int = 0, statistic: Statistic = "mean"
) -> Interval:
    """Return a statistic of the values with its percentile-bootstrap interval over queries.

    Queries are drawn with replacement; the bounds are order statistics of the resampled values, rounded outwards, so
    infinities are kept as they are. NaN marks a dropped query, as in `mean_average_precision`: it is left out first.
    Without any value all three are NaN; with one value all three are equal. The same arguments give the same interval,
    and torch's global generator is left alone.

    Args:
        values: floating point (Q,), one per query.
        level: the interval's coverage, between 0 and 1.
        resamples: how many times the queries are drawn.
        seed: of the draws.
        statistic: `mean`, or `rms`: the root of the mean, for squared errors (then in their root's units, see
            `perceptibility`).

    Raises:
        ValueError: a wrong shape, level, number of resamples or statistic, or a negative value under `rms`.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.

    >>> bootstrap_interval(torch.tensor([0.25, 0.25, float("nan")]))
    Interval(value=0.25, low=0.25, high=0.25)
    """
    _check("bootstrap_interval", values, level, resamples)
    if statistic not in get_args(Statistic):
        raise ValueError(f"bootstrap_interval: unknown statistic: got {statistic!r}, expected one of mean, rms")
    if statistic == "rms" and bool((values < 0).any()):
        raise ValueError(f"bootstrap_interval: values: no root mean: got {float(values.min())}, expected at least 0")
    kept = values[~values.isnan()].cpu().to(torch.float64)
    interval = _interval(kept, level, resamples, seed)
    return interval if statistic == "mean" else Interval(*map(math.sqrt, interval))


def paired_difference(
    first: Tensor, second: Tensor, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return the mean of first - second over the same queries, with its percentile-bootstrap interval.

    Both values of a query are drawn together, so what the queries have in common cancels: much narrower than the
    difference of two separate intervals. A NaN on either side drops the pair. Empty, single and repeated cases as in
    `bootstrap_interval`.

    Args:
        first: floating point (Q,), one per query.
        second: floating point (Q,), the same queries in the same order.
        level: the interval's coverage, between 0 and 1.
        resamples: how many times the queries are drawn.
        seed: of the draws.

    Raises:
        ValueError: a wrong shape, level or number of resamples, different lengths, or an infinite value (its difference
            to another one is undefined).

    >>> paired_difference(torch.tensor([0.5, 0.75]), torch.tensor([0.25, 0.5]))
    Interval(value=0.25, low=0.25, high=0.25)
    """
    _check("paired_difference: first", first, level, resamples)
    _check("paired_difference: second", second, level, resamples)
    if len(first) != len(second):
        raise ValueError(f"paired_difference: second: not the same queries: got {len(second)}, expected {len(first)}")
    if bool(first.isinf().any()) or bool(second.isinf().any()):
        raise ValueError(
            "paired_difference: undefined difference: got an infinite value, expected finite values or NaN"
        )
    difference = first.cpu().to(torch.float64) - second.cpu().to(torch.float64)
    return _interval(difference[~difference.isnan()], level, resamples, seed)


def _check(where: str, values: Tensor, level: float, resamples: int) -> None:
    if values.ndim != 1:
        raise ValueError(f"{where}: wrong shape: got {tuple(values.shape)}, expected one dimension")
    if not values.is_floating_point():
        raise ValueError(f"{where}: wrong dtype: got {values.dtype}, expected floating point")
    if not 0 < level < 1:
        raise ValueError(f"{where}: wrong level: got {level}, expected between 0 and 1")
    if resamples < 1:
        raise ValueError(f"{where}: wrong number of resamples: got {resamples}, expected at least 1")


def _interval(values: Tensor, level: float, resamples: int, seed: int) -> Interval:
    if len(values) == 0:
        return Interval(NAN, NAN, NAN)
    means = _resampled_means(values, resamples, seed).sort().values
    tail = (1 - level) / 2 * (resamples - 1)
    return Interval(
        float(values.mean()), float(means[math.floor(tail)]), float(means[resamples - 1 - math.floor(tail)])
    )


def _resampled_means(values: Tensor, resamples: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    means, step = torch.empty(resamples, dtype=torch.float64), max(1, CELLS // len(values))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = torch.randint(len(values), (rows, len(values)), generator=generator)
        means[start : start + rows] = values[drawn].mean(dim=1)
    return means
