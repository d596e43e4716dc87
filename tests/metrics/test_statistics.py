"""Bootstrap intervals: against all possible draws, by required equalities, and by their coverage."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from retbench.metrics import Interval, bootstrap_interval, paired_difference
from retbench.metrics import statistics as module

NAN = math.nan
Floats = NDArray[np.float64]


def sample(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0.5, 0.2, shape))


def random_effect(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    return torch.from_numpy(np.random.default_rng((seed, *shape)).normal(0, scale, shape))


def tail_probability(level: float, freedom: float) -> float:
    """Return the probability beyond each bound of an expanded percentile interval."""
    quantile = scipy.stats.t(freedom).ppf(1 - (1 - level) / 2)
    return float(scipy.stats.norm.cdf(-math.sqrt((freedom + 1) / freedom) * quantile))


def has_no_bounds(interval: Interval, value: float) -> bool:
    """Return whether an interval has this value and no bounds."""
    return interval.value == value and math.isnan(interval.low) and math.isnan(interval.high)


def every_draw(values: Floats, clusters: list[int]) -> Floats:
    """Return the means of all equally likely draws of clusters and seeds, value by value."""
    names = sorted(set(clusters))
    means = []
    for drawn_seeds in itertools.product(range(len(values)), repeat=len(values)):
        for drawn_clusters in itertools.product(names, repeat=len(names)):
            drawn = [
                values[seed, query]
                for seed in drawn_seeds
                for name in drawn_clusters
                for query in range(len(clusters))
                if clusters[query] == name and not np.isnan(values[seed, query])
            ]
            if drawn:
                means.append(np.mean(drawn))
    return np.array(means)


def quantiles(means: Floats, probability: float) -> tuple[float, float]:
    """Return the bounds of the exact distribution; the probability must not be near a step of it."""
    steps = np.arange(1, len(means)) / len(means)
    ordered = np.sort(means)
    changes = steps[np.diff(ordered) > 1e-12]
    assert np.abs(changes - probability).min() > 0.005
    return ordered[math.floor(probability * len(means))], ordered[-1 - math.floor(probability * len(means))]


def test_the_bounds_of_clusters_match_all_possible_draws() -> None:
    values, clusters = [0.1, 0.35, 0.8, 0.2, 0.95, 0.4, NAN], [5, 5, 5, 2, 7, 7, 2]
    low, high = quantiles(every_draw(np.array([values]), clusters), tail_probability(0.5, 2))
    tensor = torch.tensor(values, dtype=torch.float64)
    interval = bootstrap_interval(tensor, clusters=torch.tensor(clusters), level=0.5, resamples=40_000)
    assert interval == pytest.approx((np.nanmean(values), low, high))


def test_the_bounds_of_several_seeds_match_all_possible_draws() -> None:
    values, clusters = np.array([[0.1, 0.35, 0.8, 0.25], [0.3, 0.5, 0.9, 0.2]]), [1, 2, 3, 3]
    residuals = (values - values.mean()) / values.size
    totals = np.array([residuals[:, 0].sum(), residuals[:, 1].sum(), residuals[:, 2:].sum()])
    parts = totals @ totals * 3 / 2, values.mean(axis=1).var(ddof=1) / 2
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2)
    low, high = quantiles(every_draw(values, clusters), tail_probability(0.6, freedom))
    tensor = torch.from_numpy(values)
    interval = bootstrap_interval(tensor, clusters=torch.tensor(clusters), level=0.6, resamples=40_000)
    assert interval == pytest.approx((values.mean(), low, high))


def test_draws_without_values_are_ignored() -> None:
    values = torch.tensor([[NAN, 0.25], [0.75, NAN]], dtype=torch.float64)
    assert set(every_draw(values.numpy(), [0, 1])) == {0.25, 0.5, 0.75}
    assert bootstrap_interval(values) == Interval(0.5, 0.25, 0.75)
    assert all(bootstrap_interval(values, resamples=1, seed=seed).value == 0.5 for seed in range(20))


def test_the_interval_matches_resampling_with_another_generator() -> None:
    values = sample(25).square()
    rng = np.random.default_rng(7)
    means = np.array([rng.choice(values.numpy(), 25).mean() for _ in range(4000)])
    interval = bootstrap_interval(values, level=0.8, resamples=4000)
    assert interval.low == pytest.approx(np.quantile(means, tail_probability(0.8, 24)), abs=0.01)
    assert interval.high == pytest.approx(np.quantile(means, 1 - tail_probability(0.8, 24)), abs=0.01)


def test_the_interval_of_many_values_is_the_normal_one() -> None:
    values = sample(2000)
    interval = bootstrap_interval(values)
    error = float(values.std()) / math.sqrt(2000)
    assert interval.value == pytest.approx(float(values.mean()))
    assert interval.low == pytest.approx(interval.value - 1.96 * error, abs=0.15 * error)
    assert interval.high == pytest.approx(interval.value + 1.96 * error, abs=0.15 * error)


def coverage(intervals: list[Interval], truth: float = 0.0) -> float:
    return sum(interval.low <= truth <= interval.high for interval in intervals) / len(intervals)


def test_the_coverage_of_few_independent_values_is_about_the_level() -> None:
    samples = [random_effect(seed, 10) for seed in range(500)]
    assert 0.92 <= coverage([bootstrap_interval(values) for values in samples]) <= 0.98


def test_the_coverage_of_clustered_values_is_about_the_level_and_far_less_without_clusters() -> None:
    clusters = torch.arange(12).repeat_interleave(8)
    samples = [random_effect(seed, 12).repeat_interleave(8) + random_effect(seed, 96, scale=0.5) for seed in range(400)]
    assert 0.92 <= coverage([bootstrap_interval(values, clusters=clusters) for values in samples]) <= 0.98
    assert coverage([bootstrap_interval(values) for values in samples]) < 0.7


def test_the_coverage_of_several_seeds_is_at_least_the_level_and_far_less_without_their_effect() -> None:
    samples = [
        random_effect(seed, 6, 1) + random_effect(seed, 1, 25) + random_effect(seed, 6, 25) for seed in range(300)
    ]
    assert 0.93 <= coverage([bootstrap_interval(values) for values in samples]) <= 1
    assert coverage([bootstrap_interval(values.mean(dim=0)) for values in samples]) < 0.8


def test_different_seeds_widen_the_interval_and_equal_seeds_do_not() -> None:
    queries = sample(40)
    single, equal = bootstrap_interval(queries), bootstrap_interval(queries.repeat(3, 1))
    different = bootstrap_interval(queries + random_effect(1, 3, 1, scale=0.1))
    assert equal == pytest.approx(single)
    assert different.high - different.low > 1.5 * (single.high - single.low)


def test_one_seed_and_single_queries_as_clusters_do_not_change_the_interval() -> None:
    values = sample(30)
    values[4] = NAN
    plain = bootstrap_interval(values)
    assert bootstrap_interval(values[None]) == plain
    assert bootstrap_interval(values, clusters=torch.arange(30).flip(0) * 7 - 50) == plain


def test_the_numbers_of_clusters_do_not_matter() -> None:
    values, clusters = sample(3, 30), torch.arange(30) % 6
    names = torch.tensor([40, -1, 7, 3, 5, 0])
    assert bootstrap_interval(values, clusters=names[clusters]) == bootstrap_interval(values, clusters=clusters)


def test_the_same_seed_gives_the_same_interval_without_the_global_generator() -> None:
    values, state = sample(50), torch.get_rng_state()
    first = bootstrap_interval(values, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert bootstrap_interval(values, seed=3) == first
    assert bootstrap_interval(values, seed=4) != first
    torch.set_rng_state(state)


def test_small_blocks_give_about_the_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    values = sample(40)
    interval = bootstrap_interval(values, resamples=4000)
    monkeypatch.setattr(module, "BLOCK_SIZE", 1000)
    width = interval.high - interval.low
    assert bootstrap_interval(values, resamples=4000) == pytest.approx(interval, abs=0.06 * width)


def test_draws_are_cached_for_the_next_interval_with_bounded_memory() -> None:
    bootstrap_interval(sample(33), seed=12)
    before = module.draw_counts.cache_info()
    bootstrap_interval(sample(33, seed=1), seed=12)
    after = module.draw_counts.cache_info()
    assert (after.misses, after.hits) == (before.misses, before.hits + 2)
    assert after.maxsize is not None
    assert after.maxsize * module.BLOCK_SIZE * 8 <= 1 << 28


def test_missing_queries_and_seeds_are_ignored() -> None:
    values, clusters = sample(2, 30), torch.arange(30) % 7
    missing = torch.full((2, 5), NAN, dtype=torch.float64)
    incomplete = torch.cat([torch.cat([values[:, :10], missing, values[:, 10:]], dim=1), torch.full((1, 35), NAN)])
    names = torch.cat([clusters[:10], torch.arange(5) + 3, clusters[10:]])
    assert bootstrap_interval(incomplete, clusters=names) == bootstrap_interval(values, clusters=clusters)
    assert bootstrap_interval(incomplete[0]) == bootstrap_interval(values[0])


@pytest.mark.parametrize("statistic", ["mean", "rms"])
def test_no_values_give_nan_and_one_value_or_cluster_has_no_bounds(statistic: Any) -> None:
    for empty in (torch.zeros(0), torch.tensor([NAN, NAN]), torch.zeros(0, 5), torch.zeros(2, 0)):
        assert all(map(math.isnan, bootstrap_interval(empty, statistic=statistic)))
    for one in (torch.tensor([1.0]), torch.tensor([[1.0], [1.0]])):
        assert has_no_bounds(bootstrap_interval(one, statistic=statistic), 1.0)
    cluster, names = torch.tensor([[0.0, 2.0, NAN], [0.5, 1.5, NAN]]), torch.tensor([4, 4, 5])
    assert has_no_bounds(bootstrap_interval(cluster, clusters=names, statistic=statistic), 1.0)
    assert has_no_bounds(paired_difference(2 * cluster, cluster, clusters=names), 1.0)


def test_equal_values_of_several_clusters_have_an_interval_of_width_zero() -> None:
    for values in (torch.full((40,), 0.25), torch.full((3, 40), 0.25)):
        assert bootstrap_interval(values, clusters=torch.arange(40) // 20) == Interval(0.25, 0.25, 0.25)


def test_the_bounds_under_rms_are_the_roots_of_those_of_the_mean() -> None:
    errors, clusters = sample(2, 40).square(), torch.arange(40) // 3
    roots = tuple(map(math.sqrt, bootstrap_interval(errors, clusters=clusters)))
    assert bootstrap_interval(errors, clusters=clusters, statistic="rms") == pytest.approx(roots)


def test_infinite_values_stay_infinite() -> None:
    values = torch.tensor([30.0, math.inf, 31.0, 32.0, 33.0, 34.0])
    interval = bootstrap_interval(values)
    assert (interval.value, interval.high) == (math.inf, math.inf)
    assert 0 < interval.low < 34
    assert bootstrap_interval(-values) == Interval(-math.inf, -math.inf, -interval.low)
    assert all(map(math.isnan, bootstrap_interval(torch.tensor([math.inf, -math.inf, 1.0]))))


@settings(max_examples=60)
@given(st.data(), st.integers(1, 3), st.integers(1, 12), st.sampled_from([1, 2, 50]))
def test_bounds_include_the_value_and_scale_with_it(
    data: st.DataObject, seeds: int, queries: int, resamples: int
) -> None:
    numbers = st.floats(-1, 1, width=16) | st.just(NAN)
    flat = data.draw(st.lists(numbers, min_size=seeds * queries, max_size=seeds * queries))
    clusters = torch.tensor(data.draw(st.lists(st.integers(0, 4), min_size=queries, max_size=queries)))
    values = torch.tensor(flat, dtype=torch.float64).reshape(seeds, queries)
    interval = bootstrap_interval(values, clusters=clusters, resamples=resamples)
    if values.isnan().all():
        assert all(map(math.isnan, interval))
        return
    if len(clusters[~values.isnan().all(dim=0)].unique()) == 1:
        assert has_no_bounds(interval, pytest.approx(float(values.nanmean()), abs=1e-12))
        return
    assert values.nan_to_num(nan=9).min() - 1e-12 <= interval.low <= interval.value <= interval.high
    assert interval.high <= values.nan_to_num(nan=-9).max() + 1e-12
    moved = bootstrap_interval(3 * values + 2, clusters=clusters, resamples=resamples)
    assert moved == pytest.approx([3 * bound + 2 for bound in interval], abs=1e-9)
    mirrored = (-interval.value, -interval.high, -interval.low)
    assert bootstrap_interval(-values, clusters=clusters, resamples=resamples) == pytest.approx(mirrored, abs=1e-12)


def test_common_variation_cancels_in_a_paired_difference() -> None:
    common, clusters = sample(2, 300), torch.arange(300) // 4
    first, second = common + 0.01, common + 0.005 * sample(300, seed=1)
    paired = paired_difference(first, second, clusters=clusters)
    assert paired == pytest.approx(bootstrap_interval(first - second, clusters=clusters), abs=1e-12)
    assert paired.low > 0
    assert bootstrap_interval(first).low < bootstrap_interval(second).high


def test_a_missing_value_on_either_side_drops_the_pair() -> None:
    first, second = torch.tensor([1.0, NAN, 3.0, 4.0]), torch.tensor([0.5, 2.0, NAN, 3.5])
    assert paired_difference(first, second) == Interval(0.5, 0.5, 0.5)
    assert all(map(math.isnan, paired_difference(first[1:3], second[1:3])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": torch.zeros(2, 2, 2)}, "wrong shape: got \\(2, 2, 2\\), expected \\(Q,\\) or \\(S, Q\\)"),
        ({"values": torch.zeros(2, dtype=torch.int64)}, "wrong dtype: got torch.int64"),
        ({"clusters": torch.zeros(3)}, "clusters: .*got torch.float32 \\(3,\\), expected torch.int64 \\(3,\\)"),
        ({"clusters": torch.zeros(2, dtype=torch.int64)}, "clusters: .*got torch.int64 \\(2,\\), expected .* \\(3,\\)"),
        ({"level": 1.0}, "wrong level: got 1.0, expected between 0 and 1"),
        ({"resamples": 0}, "wrong number of resamples: got 0"),
        ({"seed": -1}, "wrong seed: got -1, expected at least 0"),
        ({"statistic": "median"}, "unknown statistic: got 'median'"),
        (
            {"values": torch.tensor([NAN, -1]), "statistic": "rms"},
            "values: negative under rms: got -1.0, expected at least 0",
        ),
    ],
)
def test_arguments_out_of_range_raise(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^bootstrap_interval: .*{message}"):
        bootstrap_interval(**({"values": torch.zeros(3)} | change))


def test_pairs_that_do_not_match_raise() -> None:
    with pytest.raises(ValueError, match=r"paired_difference: second: not the same queries: got \(3,\), expected \(2,"):
        paired_difference(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match="paired_difference: first: undefined difference: got an infinite value"):
        paired_difference(torch.tensor([math.inf]), torch.zeros(1))
