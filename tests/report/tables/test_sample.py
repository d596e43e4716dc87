"""The per-query values behind a number of a row."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from retbench.metrics import bounded_interval
from retbench.report.tables.sample import Sample, are_paired, compute_interval, sample_of, seeds_of, share_reaching
from retbench.results import Row

Scored = Callable[..., Row]
Values = dict[str, dict[str, Tensor]]


def existing_sample(row: Row, metric: str, queries: Values) -> Sample:
    sample = sample_of(row, metric, queries.__getitem__)
    assert sample is not None
    return sample


def test_the_sample_of_a_row_has_the_values_of_its_score(scored: Scored, queries: Values) -> None:
    sample = existing_sample(scored("p2p", "none", [0.25, 0.5, 0.75]), "map", queries)
    assert sample.values.tolist() == [[0.25, 0.5, 0.75]]
    assert sample.values.dtype == torch.float64
    assert sample.statistic == "share"


def test_the_sample_of_a_pooled_row_has_one_row_per_seed(scored: Scored, queries: Values) -> None:
    seeds = [scored("p2p", "none", values, seed=seed) for seed, values in enumerate(([0.1, 0.2], [0.3, 0.4]))]
    pooled = replace(seeds[0], members=tuple(row.key for row in seeds))
    assert existing_sample(pooled, "map", queries).values.tolist() == [[0.1, 0.2], [0.3, 0.4]]


@pytest.mark.parametrize(
    ("metric", "attack", "goal", "clustered"),
    [
        ("map", "none", "", False),
        ("map", "p2p", "untargeted", False),
        ("map", "p2p", "targeted", True),
        ("perceptibility", "p2p", "targeted", True),
        ("perceptibility", "p2p", "untargeted", False),
        ("t_map", "none", "", True),
        ("t_map", "p2p", "untargeted", True),
        ("t_map_recall", "none", "", True),
        ("map_recall", "none", "", False),
    ],
)
def test_queries_are_clustered_if_the_metric_depends_on_the_target(
    scored: Scored, queries: Values, metric: str, attack: str, goal: str, clustered: bool
) -> None:
    row = scored(attack, "none", {metric: [0.1, 0.2, 0.3]}, clusters=[0, 1, 0], goal=goal)
    clusters = existing_sample(row, metric, queries).clusters
    assert (clusters.tolist() if clusters is not None else None) == ([0, 1, 0] if clustered else None)


def test_the_sample_of_a_missing_metric_is_none(scored: Scored, row: Scored, queries: Values) -> None:
    assert sample_of(scored("p2p", "none", [0.1]), "ssim", queries.__getitem__) is None
    assert sample_of(row("p2p", "none", 0.1), "map", queries.__getitem__) is None


@pytest.mark.parametrize(
    ("name", "values"),
    [("depths", torch.tensor([1, 5])), ("one", torch.tensor(1.0))],
)
def test_the_sample_of_values_that_are_not_per_query_is_none(
    scored: Scored, queries: Values, name: str, values: Tensor
) -> None:
    row = scored("p2p", "none", [0.1, 0.2, 0.3])
    queries[row.key][name] = values
    assert sample_of(row, name, queries.__getitem__) is None


def test_several_numbers_per_query_are_a_third_dimension(scored: Scored, queries: Values) -> None:
    row = scored("p2p", "none", [0.1, 0.2, 0.3])
    queries[row.key]["map_recall"] = torch.ones(3, 21)
    sample = sample_of(row, "map_recall", queries.__getitem__)
    assert sample is not None
    assert sample.values.shape == (1, 3, 21)


@pytest.mark.parametrize(
    ("seeds", "others", "paired"),
    [([0], [0], True), ([0], [1], False), ([0, 1], [0, 1], True), ([0, 1], [1, 0], False), ([0, 1], [0], False)],
)
def test_rows_are_paired_under_the_same_seeds_in_the_same_order(
    scored: Scored, queries: Values, seeds: list[int], others: list[int], paired: bool
) -> None:
    def pooled(defense: str, numbers: list[int]) -> Row:
        rows = [scored("p2p", defense, [0.1, 0.2], seed=seed) for seed in numbers]
        members = tuple(row.key for row in rows)
        return replace(rows[0], members=members, data={"seeds": numbers}) if len(rows) > 1 else rows[0]

    first, second = pooled("retpur", seeds), pooled("ddpm", others)
    assert (seeds_of(first), seeds_of(second)) == (seeds, others)
    assert (
        are_paired(first, second, existing_sample(first, "map", queries), existing_sample(second, "map", queries))
        == paired
    )


def test_rows_of_different_queries_are_not_paired(scored: Scored, queries: Values) -> None:
    first, second = scored("p2p", "retpur", [0.1, 0.2]), scored("p2p", "ddpm", [0.1, 0.2, 0.3])
    assert not are_paired(
        first, second, existing_sample(first, "map", queries), existing_sample(second, "map", queries)
    )


def test_the_sample_of_a_metric_that_some_seeds_lack_is_none(scored: Scored, queries: Values) -> None:
    rows = [scored("p2p", "none", {name: [0.1, 0.2]}, seed=seed) for seed, name in enumerate(("ssim", "map"))]
    pooled = replace(rows[0], members=tuple(row.key for row in rows))
    assert sample_of(pooled, "ssim", queries.__getitem__) is None


@pytest.mark.parametrize("metric", ["perceptibility", "purified_rmse"])
def test_the_value_of_mean_squares_is_the_root_of_their_mean(scored: Scored, queries: Values, metric: str) -> None:
    row = scored("p2p", "none", {metric: [0.0625, 0.25, 0.5625]})
    sample = existing_sample(row, metric, queries)
    interval = compute_interval(sample, row)
    assert sample.statistic == "rms"
    assert interval.value == pytest.approx(math.sqrt((0.0625 + 0.25 + 0.5625) / 3))
    assert 0.25 <= interval.low < interval.value < interval.high <= 0.75


def test_the_interval_has_the_protocols_level_and_resamples(scored: Scored, queries: Values) -> None:
    values = torch.linspace(0, 1, 20, dtype=torch.float64)
    row = scored("p2p", "none", values.tolist(), clusters=[at // 4 for at in range(20)], goal="targeted")
    row = replace(row, protocol={**row.protocol, "confidence": 0.8, "resamples": 150})
    clusters = torch.arange(20) // 4
    expected = bounded_interval(values, clusters=clusters, level=0.8, resamples=150)
    assert compute_interval(existing_sample(row, "map", queries), row) == expected
    assert expected != bounded_interval(values, level=0.8, resamples=150)


def test_a_share_counts_queries_that_reach_a_value_and_keeps_nan() -> None:
    values = torch.tensor([[0.25, 0.5, math.nan, -1.0]], dtype=torch.float64)
    share = share_reaching(Sample(values, torch.tensor([0, 1, 1, 2]), "rms"), 0.25)
    assert share.values.nan_to_num(7).tolist() == [[1, 1, 7, 0]]
    assert share.clusters is not None
    assert share.statistic == "share"
