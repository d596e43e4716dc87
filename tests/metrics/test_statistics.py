"""Bootstrap intervals."""

import doctest
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from retbench.metrics import Interval, bootstrap_interval, paired_difference
from retbench.metrics import statistics as module


def sample(count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0.5, 0.2, count))


def test_interval_of_many_values_is_that_of_the_normal_law() -> None:
    values = sample(2000)
    interval = bootstrap_interval(values)
    error = float(values.std()) / math.sqrt(2000)
    assert interval.value == pytest.approx(float(values.mean()))
    assert interval.low == pytest.approx(interval.value - 1.96 * error, abs=0.15 * error)
    assert interval.high == pytest.approx(interval.value + 1.96 * error, abs=0.15 * error)


def test_interval_matches_resampling_with_another_generator() -> None:
    values = sample(25).square()
    rng = np.random.default_rng(7)
    means = np.array([rng.choice(values.numpy(), 25).mean() for _ in range(4000)])
    interval = bootstrap_interval(values, level=0.8, resamples=4000)
    assert interval.low == pytest.approx(np.quantile(means, 0.1), abs=0.01)
    assert interval.high == pytest.approx(np.quantile(means, 0.9), abs=0.01)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    intervals = [bootstrap_interval(sample(60, seed), level=0.9, resamples=200) for seed in range(100)]
    covered = sum(interval.low <= 0.5 <= interval.high for interval in intervals)
    assert 80 <= covered <= 97


def test_the_same_seed_gives_the_same_interval_and_leaves_global_state_alone() -> None:
    values, state = sample(50), torch.get_rng_state()
    first = bootstrap_interval(values, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert bootstrap_interval(values, seed=3) == first
    assert bootstrap_interval(values, seed=4) != first
    torch.set_rng_state(state)


def test_intervals_do_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    values = sample(40)
    interval = bootstrap_interval(values, resamples=50)
    monkeypatch.setattr(module, "CELLS", 100)
    assert bootstrap_interval(values, resamples=50) == interval


def test_dropped_queries_do_not_count() -> None:
    values = sample(30)
    with_gaps = torch.cat([values[:10], torch.full((5,), math.nan, dtype=torch.float64), values[10:]])
    assert bootstrap_interval(with_gaps) == bootstrap_interval(values)


@pytest.mark.parametrize("statistic", ["mean", "rms"])
def test_nothing_gives_nan_and_one_value_gives_itself(statistic: Any) -> None:
    for nothing in (torch.zeros(0), torch.tensor([math.nan, math.nan])):
        assert all(map(math.isnan, bootstrap_interval(nothing, statistic=statistic)))
    assert bootstrap_interval(torch.tensor([1.0]), statistic=statistic) == Interval(1.0, 1.0, 1.0)


def test_root_of_the_mean_has_the_roots_of_the_bounds() -> None:
    errors = sample(40).square()
    assert bootstrap_interval(errors, statistic="rms") == pytest.approx(
        tuple(map(math.sqrt, bootstrap_interval(errors)))
    )


def test_infinite_values_stay_infinite() -> None:
    interval = bootstrap_interval(torch.tensor([30.0, math.inf, 31.0, 32.0, 33.0, 34.0]))
    assert (interval.value, interval.high) == (math.inf, math.inf)
    assert interval.low > 0


def test_what_the_queries_share_cancels_in_a_paired_difference() -> None:
    hardness = sample(300)
    first, second = hardness + 0.01, hardness + 0.005 * sample(300, 1)
    paired = paired_difference(first, second)
    assert paired == pytest.approx(bootstrap_interval(first - second), abs=1e-12)
    assert paired.low > 0
    assert bootstrap_interval(first).low < bootstrap_interval(second).high


def test_a_gap_on_either_side_drops_the_pair() -> None:
    first, second = torch.tensor([1.0, math.nan, 3.0, 4.0]), torch.tensor([0.5, 2.0, math.nan, 3.5])
    assert paired_difference(first, second) == Interval(0.5, 0.5, 0.5)
    assert all(map(math.isnan, paired_difference(first[1:3], second[1:3])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": torch.zeros(2, 2)}, "wrong shape: got \\(2, 2\\), expected one dimension"),
        ({"values": torch.zeros(2, dtype=torch.int64)}, "wrong dtype: got torch.int64"),
        ({"level": 1.0}, "wrong level: got 1.0, expected between 0 and 1"),
        ({"resamples": 0}, "wrong number of resamples: got 0"),
        ({"statistic": "median"}, "unknown statistic: got 'median'"),
        ({"values": -torch.ones(2), "statistic": "rms"}, "no root mean: got -1.0, expected at least 0"),
    ],
)
def test_arguments_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^bootstrap_interval: .*{message}"):
        bootstrap_interval(**({"values": torch.zeros(3)} | change))


def test_pairs_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="paired_difference: second: not the same queries: got 3, expected 2"):
        paired_difference(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match="paired_difference: undefined difference: got an infinite value"):
        paired_difference(torch.tensor([math.inf]), torch.zeros(1))


def test_documented_examples_run() -> None:
    assert doctest.testmod(module).failed == 0
