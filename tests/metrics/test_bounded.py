"""Intervals of bounded values: against Clopper and Pearson, by symmetry and order, and by their coverage."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from retbench.metrics import bootstrap_interval, bounded_interval

NAN = math.nan
UNIT = st.floats(0, 1)


def binary(successes: int, failures: int) -> Tensor:
    return torch.tensor([1.0] * successes + [0.0] * failures, dtype=torch.float64)


@pytest.mark.parametrize(("successes", "failures"), [(100, 0), (0, 20), (97, 3), (10, 10), (1, 1)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_of_successes_is_that_of_clopper_and_pearson(successes: int, failures: int, level: float) -> None:
    expected = scipy.stats.binomtest(successes, successes + failures).proportion_ci(level, method="exact")
    interval = bounded_interval(binary(successes, failures), level=level, resamples=100_000)
    assert interval == pytest.approx((successes / (successes + failures), expected.low, expected.high), abs=0.002)


def test_a_cluster_counts_as_one_query() -> None:
    clusters = torch.arange(20).repeat_interleave(5)
    together = bounded_interval(binary(95, 5), clusters=clusters)
    assert together == pytest.approx(bounded_interval(binary(19, 1)))


def test_the_added_cluster_has_the_size_of_that_of_an_average_query() -> None:
    sizes, resamples = np.array([1, 2, 9]), 100_000
    weights = np.random.default_rng(1).exponential(size=(resamples, 4))
    average = (sizes * sizes).sum() / sizes.sum()
    means = weights[:, :3] @ sizes / (weights @ np.append(sizes, average))
    clusters = torch.from_numpy(np.repeat(np.arange(3), sizes))
    interval = bounded_interval(torch.ones(12), clusters=clusters, resamples=resamples)
    assert interval.low == pytest.approx(np.quantile(means, 0.025), abs=0.003)


@given(st.lists(UNIT, min_size=2, max_size=20), st.integers(1, 5))
def test_failures_are_treated_like_successes(values: list[float], size: int) -> None:
    tensor = torch.tensor(values, dtype=torch.float64)
    clusters = torch.arange(len(values)) // size
    interval, mirrored = (bounded_interval(each, clusters=clusters, resamples=50) for each in (tensor, 1 - tensor))
    assert (interval.value, interval.low, interval.high) == pytest.approx(
        (1 - mirrored.value, 1 - mirrored.high, 1 - mirrored.low), nan_ok=True
    )


@given(st.lists(st.tuples(UNIT, UNIT), min_size=2, max_size=20))
def test_larger_values_have_larger_bounds_which_include_the_mean(pairs: list[tuple[float, float]]) -> None:
    ordered = torch.tensor([sorted(pair) for pair in pairs], dtype=torch.float64)
    small, large = (bounded_interval(column, resamples=50) for column in ordered.unbind(1))
    for first, second in zip(small, large, strict=True):
        assert first <= second + 1e-12
    for interval in (small, large):
        assert 0 <= interval.low <= interval.value <= interval.high <= 1 + 1e-12


def test_the_interval_of_many_values_is_the_normal_one() -> None:
    values = torch.from_numpy(np.random.default_rng(0).beta(2, 1, 5000))
    interval, error = bounded_interval(values), float(values.std()) / math.sqrt(5000)
    assert interval.low == pytest.approx(interval.value - 1.96 * error, abs=0.2 * error)
    assert interval.high == pytest.approx(interval.value + 1.96 * error, abs=0.2 * error)


def test_seeds_that_differ_widen_the_interval_and_equal_ones_do_not() -> None:
    values = torch.from_numpy(np.random.default_rng(0).beta(2, 1, 100))
    one, equal = bounded_interval(values), bounded_interval(values.repeat(3, 1))
    different = bounded_interval(values * torch.tensor([[0.5], [0.75], [1.0]]))
    assert equal == pytest.approx(one, abs=0.01)
    assert different.high - different.low > 2 * (one.high - one.low)
    other = bootstrap_interval(values * torch.tensor([[0.5], [0.75], [1.0]]))
    assert (different.low, different.high) == pytest.approx((other.low, other.high), abs=0.03)


def test_missing_values_are_ignored() -> None:
    values = binary(8, 2)
    assert bounded_interval(torch.cat([torch.tensor([NAN]), values])) == bounded_interval(values)
    in_one_seed = torch.stack([values, values])
    in_one_seed[1, 3] = NAN
    assert bounded_interval(in_one_seed).value == pytest.approx(15 / 19)


@pytest.mark.parametrize("values", [torch.empty(0), torch.tensor([NAN, NAN]), torch.empty(2, 0)], ids=str)
def test_without_values_all_numbers_are_missing(values: Tensor) -> None:
    assert all(math.isnan(number) for number in bounded_interval(values))


def test_one_query_or_cluster_has_no_bounds() -> None:
    for interval in (bounded_interval(torch.ones(1)), bounded_interval(torch.ones(3), clusters=torch.zeros(3).long())):
        assert interval.value == 1
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)


@pytest.mark.parametrize("value", [1.001, -0.001, math.inf])
def test_values_out_of_range_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"^bounded_interval: values: out of range: got .*, expected 0 to 1$"):
        bounded_interval(torch.tensor([0.5, value]))
    rounded = bounded_interval(torch.tensor([1.0 + 1e-12] * 3, dtype=torch.float64))
    assert rounded.value == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [10, 50, 200])
@pytest.mark.parametrize("rate", [0.005, 0.01, 0.02, 0.05])
@pytest.mark.parametrize("largest", [1, 20])
def test_the_coverage_is_at_least_93_percent_near_the_ceiling(clusters: int, rate: float, largest: int) -> None:
    rng, simulations = np.random.default_rng((clusters, largest)), 2000
    sizes = np.rint(np.geomspace(1, largest, clusters)).astype(int)
    indices = torch.from_numpy(np.repeat(np.arange(clusters), sizes))
    hits = 0
    for _ in range(simulations):
        values = torch.from_numpy(np.repeat(rng.random(clusters) >= rate, sizes).astype(float))
        interval = bounded_interval(values, clusters=indices)
        hits += interval.low <= 1 - rate <= interval.high
    assert hits >= 0.93 * simulations
