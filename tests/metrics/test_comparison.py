"""Tests of paired differences: against scipy, against written-out formulas, and their rate of false positives."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from retbench.metrics import PairedTest, compare_many, compare_pairs, detectable_difference, holm

NAN = math.nan


def pairs(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(0.5, 0.2, shape)), torch.from_numpy(rng.normal(0.45, 0.2, shape))


def test_independent_queries_give_the_paired_t_test() -> None:
    first, second = pairs(50)
    expected = scipy.stats.ttest_rel(first.numpy(), second.numpy())
    result = compare_pairs(first, second)
    assert result.difference == pytest.approx(float((first - second).mean()))
    assert result.standard_error == pytest.approx(scipy.stats.sem((first - second).numpy()))
    assert result.degrees_of_freedom == expected.df
    assert result.p_value == pytest.approx(expected.pvalue)
    assert compare_pairs(first, second, clusters=torch.arange(50).flip(0)) == pytest.approx(result)


def test_clusters_of_equal_size_give_the_t_test_of_their_means() -> None:
    first, second = pairs(24)
    expected = scipy.stats.ttest_1samp((first - second).reshape(6, 4).mean(dim=1).numpy(), 0)
    result = compare_pairs(first, second, clusters=torch.arange(6).repeat_interleave(4))
    assert (result.degrees_of_freedom, result.p_value) == pytest.approx((expected.df, expected.pvalue))
    assert result.difference / result.standard_error == pytest.approx(expected.statistic)


def test_clusters_of_different_sizes_follow_the_written_out_formula() -> None:
    first, second = pairs(9)
    first[3] = NAN
    names = [2, 2, 8, 8, 8, 8, 5, 5, 2]
    differences = {name: [] for name in names}
    for name, one, other in zip(names, first.tolist(), second.tolist(), strict=True):
        if not math.isnan(one):
            differences[name].append(one - other)
    mean = sum(map(sum, differences.values())) / 8
    variance = 3 / 2 * sum(sum(value - mean for value in values) ** 2 for values in differences.values()) / 8**2
    result = compare_pairs(first, second, clusters=torch.tensor(names))
    p = 2 * scipy.stats.t(2).sf(abs(mean) / math.sqrt(variance))
    assert result == pytest.approx((mean, math.sqrt(variance), 2, p))


def test_the_variance_of_the_seeds_is_added() -> None:
    first, second = pairs(3, 12)
    first = first + torch.tensor([[0.0], [0.2], [-0.1]])
    differences = (first - second).numpy()
    queries = differences.mean(axis=0).var(ddof=1) / 12
    seeds = differences.mean(axis=1).var(ddof=1) / 3
    result = compare_pairs(first, second)
    p = 2 * scipy.stats.t(2).sf(abs(differences.mean()) / math.sqrt(queries + seeds))
    assert result == pytest.approx((differences.mean(), math.sqrt(queries + seeds), 2, p))


@pytest.mark.parametrize(
    ("seeds", "clusters", "freedom"), [(1, 6, 5), (2, 6, 1), (3, 6, 2), (6, 6, 5), (9, 6, 5), (9, 2, 1), (1, 2, 1)]
)
def test_the_smaller_number_of_seeds_and_clusters_sets_the_degrees_of_freedom(
    seeds: int, clusters: int, freedom: float
) -> None:
    names = torch.arange(24) % clusters
    assert compare_pairs(*pairs(seeds, 24), clusters=names).degrees_of_freedom == freedom
    assert compare_pairs(*pairs(seeds, clusters)).degrees_of_freedom == freedom


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("effect", [0.3, 1.0, 30.0])  # compared with 1 / sqrt(20) of the queries
def test_variation_between_seeds_is_rejected_no_more_often_than_the_level(seeds: int, effect: float) -> None:
    rng, queries = np.random.default_rng((seeds, round(10 * effect))), 20
    values = rng.normal(0, effect, (8000, seeds, 1)) + rng.normal(0, 1, (8000, seeds, queries))
    tests = compare_many(torch.from_numpy(values), torch.zeros(values.shape, dtype=torch.float64))
    assert np.mean([test.p_value < 0.05 for test in tests]) <= 0.06


def random_pairs(kind: str, *shape: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return two results with differences of one kind: any, all equal, all zero, or some missing."""
    first, second = pairs(*shape, seed=seed)
    if kind == "equal":
        return second + 0.1, second
    if kind == "missing":
        first[torch.from_numpy(np.random.default_rng(seed).random(shape) < 0.2)] = NAN
    return (second.clone(), second) if kind == "zero" else (first, second)


@settings(max_examples=150)
@given(
    st.sampled_from(["any", "equal", "zero", "missing"]),
    st.tuples(st.integers(0, 4), st.integers(1, 4), st.integers(0, 12)),
    st.sampled_from([None, 1, 2, 5]),
    st.integers(0, 99),
)
def test_many_pairs_give_the_tests_of_single_pairs(
    kind: str, shape: tuple[int, int, int], clusters: int | None, seed: int
) -> None:
    first, second = random_pairs(kind, *shape, seed=seed)
    names = (
        None if clusters is None else torch.from_numpy(np.random.default_rng(seed).integers(clusters, size=shape[2]))
    )
    expected = [compare_pairs(one, other, clusters=names) for one, other in zip(first, second, strict=True)]
    tests = compare_many(first, second, clusters=names)
    assert len(tests) == shape[0]
    for test, expected_test in zip(tests, expected, strict=True):
        assert isinstance(test, PairedTest)
        assert test == pytest.approx(expected_test, rel=1e-12, abs=1e-12, nan_ok=True)


def test_a_missing_value_in_one_pair_does_not_change_the_other_pairs() -> None:
    first, second = pairs(3, 2, 10)
    complete = compare_many(first, second)
    incomplete = first.clone()
    incomplete[1, 0, 4] = NAN
    tests = compare_many(incomplete, second)
    assert [tests[0], tests[2]] == [pytest.approx(complete[0]), pytest.approx(complete[2])]
    assert tests[1] != pytest.approx(complete[1])


@pytest.mark.parametrize(
    ("first", "second", "clusters", "message"),
    [
        (torch.zeros(1, 2, 3), torch.zeros(1, 2, 4), None, "second: not the same queries"),
        (torch.full((1, 2, 3), math.inf), torch.zeros(1, 2, 3), None, "first: undefined difference"),
        (torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), torch.arange(3, dtype=torch.int32), "clusters: wrong shape or dt"),
        (torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), torch.arange(4), "clusters: wrong shape or dt"),
        (torch.zeros(1, 2, 3).long(), torch.zeros(1, 2, 3).long(), None, "first: wrong dtype: got torch.int64"),
    ],
)
def test_comparing_many_pairs_that_do_not_match_raises(
    first: Tensor, second: Tensor, clusters: Tensor | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare_many(first, second, clusters=clusters)


def test_a_seed_axis_of_one_and_the_numbers_of_clusters_do_not_matter() -> None:
    first, second = pairs(20)
    names, clusters = torch.tensor([9, -2, 4, 0, 1]), torch.arange(20) % 5
    result = compare_pairs(first, second, clusters=clusters)
    assert compare_pairs(first[None], second[None], clusters=names[clusters]) == result
    swapped = compare_pairs(second, first, clusters=clusters)
    assert swapped == pytest.approx((-result.difference, *result[1:]))


def test_a_missing_value_on_either_side_drops_the_pair() -> None:
    first, second = pairs(10)
    incomplete = first.index_fill(0, torch.tensor([2]), NAN), second.index_fill(0, torch.tensor([7]), NAN)
    kept = torch.tensor([0, 1, 3, 4, 5, 6, 8, 9])
    assert compare_pairs(*incomplete) == compare_pairs(first[kept], second[kept])


def test_clusters_without_a_difference_are_rejected_as_often_as_the_level() -> None:
    clusters, rng = torch.arange(10).repeat_interleave(6), np.random.default_rng(1)
    values = [np.repeat(rng.normal(size=10), 6) + rng.normal(0, 0.5, 60) for _ in range(600)]
    tensors = [torch.from_numpy(value) for value in values]
    zeros = torch.zeros(60, dtype=torch.float64)
    assert 0.03 <= np.mean([compare_pairs(v, zeros, clusters=clusters).p_value < 0.05 for v in tensors]) <= 0.07
    assert np.mean([compare_pairs(v, zeros).p_value < 0.05 for v in tensors]) > 0.3


def test_zero_differences_have_p_one() -> None:
    first = pairs(2, 10)[0]
    assert compare_pairs(first[0], first[0]) == PairedTest(0.0, 0.0, 9.0, 1.0)
    assert compare_pairs(first, first) == PairedTest(0.0, 0.0, 1.0, 1.0)


def test_equal_differences_have_the_p_of_the_randomization_test() -> None:
    second = torch.tensor([0.1, 0.2, 0.7, 0.4, 0.3], dtype=torch.float64)
    result = compare_pairs(second + 0.1, second)
    assert result == pytest.approx((0.1, 0, 4, 2 * 0.5**5))
    assert result.standard_error == 0
    assert compare_pairs(second + 0.1, second, clusters=torch.tensor([0, 0, 0, 1, 1])).p_value == 0.5


def test_fewer_than_two_clusters_have_p_one() -> None:
    first, second = pairs(2, 6)
    one = compare_pairs(first, second, clusters=torch.zeros(6, dtype=torch.int64))
    assert one[1:] == (math.inf, 0.0, 1.0)
    assert one.difference == pytest.approx(float((first - second).mean()))
    for none in (torch.zeros(0), torch.full((3,), NAN), torch.zeros(2, 0)):
        empty = compare_pairs(none, none)
        assert math.isnan(empty.difference)
        assert empty[1:] == (math.inf, 0.0, 1.0)


def test_comparing_pairs_that_do_not_match_raises() -> None:
    with pytest.raises(ValueError, match=r"^compare_pairs: second: not the same queries: got \(3,\), expected \(2,\)"):
        compare_pairs(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match=r"^compare_pairs: second: undefined difference: got an infinite value"):
        compare_pairs(torch.zeros(2), torch.tensor([0.0, -math.inf]))
    with pytest.raises(ValueError, match=r"^compare_pairs: clusters: wrong shape or dtype: got torch.int32"):
        compare_pairs(torch.zeros(2), torch.zeros(2), clusters=torch.zeros(2, dtype=torch.int32))


def test_holm_of_four_p_values_matches_a_hand_calculation() -> None:
    # 4 * 0.005, 3 * 0.01, 2 * 0.03, then 0.04 which may not be below 0.06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_of_no_and_one_p_value_and_values_above_one() -> None:
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    assert holm([0.9, 0.6, 0.0]) == [1.0, 1.0, 0.0]


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_rejects_the_same_hypotheses_as_the_stepwise_procedure(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= value <= 1 for p, value in zip(p_values, adjusted, strict=True))
    for level in (0.01, 0.05, 0.3):
        remaining, rejected = sorted(range(len(p_values)), key=p_values.__getitem__), set()
        while remaining and p_values[remaining[0]] * len(remaining) <= level:
            rejected.add(remaining.pop(0))
        assert {index for index, value in enumerate(adjusted) if value <= level} == rejected


@pytest.mark.parametrize("p", [NAN, -0.1, 1.1])
def test_holm_of_an_invalid_p_value_raises(p: float) -> None:
    with pytest.raises(ValueError, match=f"^holm: not a p-value: got {p}, expected 0 to 1"):
        holm([0.5, p])


def test_the_detectable_difference_is_detected_with_the_given_power() -> None:
    true = detectable_difference(0.1, 30, power=0.8)
    critical = scipy.stats.t(30).ppf(0.975)
    assert scipy.stats.nct(30, true / 0.1).sf(critical) == pytest.approx(0.8, abs=0.01)
    assert true == pytest.approx((critical + scipy.stats.t(30).ppf(0.8)) * 0.1)


def test_the_detectable_difference_is_zero_without_error_and_infinite_without_freedom() -> None:
    assert detectable_difference(0.0, 5) == 0.0
    assert detectable_difference(0.1, 0) == math.inf
    assert detectable_difference(math.inf, 0) == math.inf
    assert detectable_difference(0.1, 5, level=0.01) > detectable_difference(0.1, 5) > detectable_difference(0.1, 50)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"standard_error": -1.0}, "wrong standard error: got -1.0 with 5 degrees of freedom"),
        ({"standard_error": NAN}, "wrong standard error: got nan"),
        ({"degrees_of_freedom": NAN}, "wrong standard error: got 1.0 with nan degrees of freedom"),
        ({"level": 0.0}, "wrong level: got 0.0, expected between 0 and 1"),
        ({"power": 0.05}, "wrong power: got 0.05, expected between the level 0.05 and 1"),
        ({"power": 1.0}, "wrong power: got 1.0"),
    ],
)
def test_the_detectable_difference_of_invalid_arguments_raises(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^detectable_difference: {message}"):
        detectable_difference(**({"standard_error": 1.0, "degrees_of_freedom": 5} | change))
