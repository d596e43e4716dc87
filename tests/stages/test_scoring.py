"""Metrics of rankings and their summaries, against plain numpy."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from retbench.contracts import Protocol
from retbench.contracts.protocol import TieRule
from retbench.metrics import (
    Interval,
    average_precision,
    bootstrap_interval,
    bounded_interval,
    pack,
    precision_at,
    precision_recall,
    random_precision,
)
from retbench.stages.scoring import (
    DEPTHS,
    RECALL_LEVELS,
    describe_codes,
    leave_out_untargeted,
    mean_with_interval,
    rank_queries,
    statistic_of,
    summarize,
)

Ints = NDArray[np.int64]
Order = Literal["stable", "best", "worst"]
BITS, QUERIES, DATABASE, CLASSES = 4, 12, 37, 5  # few bits, so that most distances tie


def draw_case(seed: int = 0) -> tuple[Tensor, Tensor, dict[str, Tensor], Tensor]:
    """Return codes in -1 and 1, and labels, of queries and database; the second query has no label."""
    numbers = torch.Generator().manual_seed(seed)
    codes, database = (torch.randint(2, (n, BITS), generator=numbers) * 2 - 1 for n in (QUERIES, DATABASE))
    own, target, database_labels = (
        (torch.rand(n, CLASSES, generator=numbers) < 0.3).to(torch.uint8) for n in (QUERIES, QUERIES, DATABASE)
    )
    own[1] = 0
    target[6:] = target[:6]
    return codes.to(torch.int8), database.to(torch.int8), {"map": own, "t_map": target}, database_labels


CODES, ITEMS, LABELS, DATABASE_LABELS = draw_case()


def rank(**protocol: Any) -> dict[str, Tensor]:
    return rank_queries(pack(CODES), pack(ITEMS), LABELS, DATABASE_LABELS, bits=BITS, protocol=Protocol(**protocol))


def rank_relevance(metric: str, order: Order) -> list[Ints]:
    """Return the relevance of the ranked database items of each query."""
    distances = (CODES.numpy()[:, None] != ITEMS.numpy()[None]).sum(2)
    relevant = (LABELS[metric].numpy().astype(int) @ DATABASE_LABELS.numpy().astype(int).T > 0).astype(np.int64)
    sign = {"stable": 0, "best": -1, "worst": 1}[order]
    rows = np.arange(DATABASE)
    return [
        found[np.lexsort((rows, sign * found, distance))] for found, distance in zip(relevant, distances, strict=True)
    ]


def compute_precision(found: Ints) -> float:
    terms = [found[: rank + 1].mean() for rank in np.flatnonzero(found)]
    return float(np.mean(terms)) if terms else 0.0


def precision_at_recall(found: Ints, twentieths: int) -> float:
    """Return the precision at the first rank with that many twentieths of the relevant items, and at least one."""
    needed = max(1, -(-twentieths * int(found.sum()) // 20))
    reached = np.flatnonzero(found.cumsum() >= needed)
    return float(found[: reached[0] + 1].mean()) if len(reached) else 0.0


@pytest.mark.parametrize("metric", ["map", "t_map"])
@pytest.mark.parametrize("suffix", ["", "_worst", "_best"])
def test_average_precision_matches_brute_force(metric: str, suffix: str) -> None:
    order: Any = suffix.removeprefix("_") or "stable"
    found = rank()[f"{metric}{suffix}"]
    assert (found.dtype, found.shape) == (torch.float64, (QUERIES,))
    assert found.tolist() == pytest.approx([compute_precision(row) for row in rank_relevance(metric, order)])


@pytest.mark.parametrize("ties", ["stable", "expected"])
def test_average_precision_is_between_its_worst_and_best_ties(ties: TieRule) -> None:
    found = rank(ties=ties)
    for metric in LABELS:
        worst, best = found[f"{metric}_worst"], found[f"{metric}_best"]
        assert bool(((worst <= found[metric] + 1e-12) & (found[metric] <= best + 1e-12)).all())
        assert bool((worst < best).any())


@pytest.mark.parametrize(
    "protocol",
    [{"ties": "worst"}, {"ties": "best"}, {"map": "top-k", "depth": 5}, {"map": "top-k-skip", "depth": 5}],
)
def test_there_are_no_tie_bounds_where_they_are_not_defined(protocol: dict[str, Any]) -> None:
    assert not [name for name in rank(**protocol) if name.endswith(("_worst", "_best"))]


def test_tie_bounds_have_the_same_depth_as_the_metric() -> None:
    found = rank(map="first-k-relevant", depth=3)
    for suffix in ("worst", "best"):
        order: Any = suffix
        expected = [
            np.mean([row[: at + 1].mean() for at in np.flatnonzero(row)[:3]] or [0])
            for row in rank_relevance("map", order)
        ]
        assert found[f"map_{suffix}"].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["map", "t_map"])
def test_precision_is_recorded_at_21_recall_levels(metric: str) -> None:
    found = rank()[f"{metric}_recall"]
    expected = [[precision_at_recall(row, level) for level in range(21)] for row in rank_relevance(metric, "stable")]
    assert (found.dtype, found.shape, RECALL_LEVELS.tolist()) == (
        torch.float32,
        (QUERIES, 21),
        pytest.approx([level / 20 for level in range(21)]),
    )
    assert found.numpy() == pytest.approx(np.array(expected), abs=1e-6)


@pytest.mark.parametrize("ties", ["stable", "best"])
def test_precision_is_recorded_at_depths_up_to_the_database_size(ties: Order) -> None:
    found = rank(ties=ties)
    assert found["depths"].tolist() == [1, 2, 5, 10, 20] == [depth for depth in DEPTHS if depth <= DATABASE]
    assert found["depths"].dtype == torch.int64
    expected = [[row[:depth].mean() for depth in (1, 2, 5, 10, 20)] for row in rank_relevance("t_map", ties)]
    assert found["t_map_depth"].dtype == torch.float32
    assert found["t_map_depth"].numpy() == pytest.approx(np.array(expected), abs=1e-6)


@pytest.mark.parametrize("ties", ["stable", "expected", "best", "worst"])
@pytest.mark.parametrize("definition", ["full", "top-k", "top-k-skip", "first-k-relevant"])
@given(
    seed=st.integers(0, 10**6),
    queries=st.sampled_from([0, 1, 35]),
    items=st.sampled_from([0, 1, 30, 600]),
    bits=st.sampled_from([1, 7, 32]),
)
@settings(max_examples=15)
def test_every_tensor_equals_that_of_its_metric_alone(
    ties: TieRule, definition: Any, seed: int, queries: int, items: int, bits: int
) -> None:
    numbers = torch.Generator().manual_seed(seed)
    codes, database = (
        pack((torch.randint(2, (n, bits), generator=numbers) * 2 - 1).to(torch.int8)) for n in (queries, items)
    )
    own, target, database_labels = (
        (torch.rand(n, CLASSES, generator=numbers) < 0.3).to(torch.uint8) for n in (queries, queries, items)
    )
    depth = None if definition == "full" else 9
    found = rank_queries(
        codes,
        database,
        {"map": own, "t_map": target},
        database_labels,
        bits=bits,
        protocol=Protocol(map=definition, depth=depth, ties=ties),
    )
    depths = [depth for depth in DEPTHS if depth <= items]
    for name, labels in (("map", own), ("t_map", target)):
        arguments: Any = (codes, database, labels, database_labels)
        rules: dict[str, Any] = {"": ties, "_worst": "worst", "_best": "best"}
        for suffix, rule in rules.items():
            if f"{name}{suffix}" in found:
                alone = average_precision(*arguments, bits=bits, definition=definition, depth=depth, ties=rule)
                assert torch.equal(found[f"{name}{suffix}"].nan_to_num(-1.0), alone.nan_to_num(-1.0))
        recall = precision_recall(*arguments, bits=bits, recalls=RECALL_LEVELS, ties=ties).float()
        assert torch.equal(found[f"{name}_recall"], recall)
        assert torch.equal(
            found[f"{name}_depth"], precision_at(*arguments, bits=bits, depths=depths, ties=ties).float()
        )


def test_queries_with_equal_target_labels_are_a_cluster() -> None:
    clusters, targets = rank()["cluster"], LABELS["t_map"].tolist()
    assert (clusters.dtype, clusters.shape) == (torch.int64, (QUERIES,))
    for one in range(QUERIES):
        for other in range(QUERIES):
            assert (clusters[one] == clusters[other]) == (targets[one] == targets[other])


def test_no_queries_have_no_values() -> None:
    empty = {name: labels[:0] for name, labels in LABELS.items()}
    found = rank_queries(pack(CODES)[:0], pack(ITEMS), empty, DATABASE_LABELS, bits=BITS, protocol=Protocol())
    assert {name: tuple(values.shape) for name, values in found.items() if name.startswith("map")} == {
        "map": (0,),
        "map_worst": (0,),
        "map_best": (0,),
        "map_recall": (0, 21),
        "map_depth": (0, 5),
    }
    assert found["cluster"].shape == (0,)


def summary(*, targeted: bool = False, **protocol: Any) -> dict[str, Any]:
    squares = torch.linspace(0.01, 0.3, QUERIES, dtype=torch.float64)
    values = {**rank(**protocol), "perceptibility": squares, "purified_rmse": squares / 2, "ssim": 1 - squares}
    return summarize(values, LABELS, DATABASE_LABELS, Protocol(**protocol), targeted=targeted)


def test_summaries_have_means_and_root_mean_squares() -> None:
    squares, metrics = np.linspace(0.01, 0.3, QUERIES), summary()["metrics"]
    assert {name: interval["value"] for name, interval in metrics.items()} == {
        "map": pytest.approx(np.mean([compute_precision(row) for row in rank_relevance("map", "stable")])),
        "t_map": pytest.approx(np.mean([compute_precision(row) for row in rank_relevance("t_map", "stable")])),
        "perceptibility": pytest.approx(math.sqrt(squares.mean())),
        "purified_rmse": pytest.approx(math.sqrt(squares.mean() / 2)),
        "ssim": pytest.approx(1 - squares.mean()),
    }


@pytest.mark.parametrize("targeted", [False, True])
def test_metrics_that_depend_on_targets_are_resampled_by_target_label(targeted: bool) -> None:
    clustered = {"map", "t_map", "perceptibility", "purified_rmse", "ssim"} if targeted else {"t_map"}
    values = {**rank(), "ssim": torch.linspace(0, 1, QUERIES, dtype=torch.float64)}
    values |= dict.fromkeys(("perceptibility", "purified_rmse"), values["ssim"] / 2)
    metrics: Any = summarize(values, LABELS, DATABASE_LABELS, Protocol(resamples=300), targeted=targeted)["metrics"]
    for name, interval in metrics.items():
        clusters = values["cluster"] if name in clustered else None
        others = None if name in clustered else values["cluster"]
        statistic = statistic_of(name)
        expected = mean_with_interval(values[name], clusters, statistic, level=0.95, resamples=300)
        assert Interval(**interval) == expected
        assert expected[1:] != mean_with_interval(values[name], others, statistic, level=0.95, resamples=300)[1:]


def test_metrics_of_rankings_have_bounded_intervals_and_others_are_resampled() -> None:
    values, clusters = torch.linspace(0, 1, 12, dtype=torch.float64), torch.arange(12) // 3
    for metric in ("map", "t_map", "map_recall", "t_map_depth"):
        assert statistic_of(metric) == "share"
    assert [statistic_of(name) for name in ("perceptibility", "purified_rmse", "ssim")] == ["rms", "rms", "mean"]
    found = [mean_with_interval(values, clusters, each, level=0.9, resamples=300) for each in ("share", "mean", "rms")]
    assert found == [
        bounded_interval(values, clusters=clusters, level=0.9, resamples=300),
        bootstrap_interval(values, clusters=clusters, level=0.9, resamples=300),
        bootstrap_interval(values, clusters=clusters, level=0.9, resamples=300, statistic="rms"),
    ]


@pytest.mark.parametrize("targeted", [False, True])
def test_a_single_target_label_leaves_dependent_metrics_without_bounds(targeted: bool) -> None:
    values = {**rank(), "cluster": torch.zeros(QUERIES, dtype=torch.int64)}
    found: Any = summarize(values, LABELS, DATABASE_LABELS, Protocol(resamples=300), targeted=targeted)
    bounds = {name: [interval["low"] is None, interval["high"] is None] for name, interval in found["metrics"].items()}
    assert bounds == {"map": [targeted] * 2, "t_map": [True] * 2}
    assert found["metrics"]["t_map"]["value"] == pytest.approx(float(values["t_map"].mean()))


def test_the_protocol_sets_the_confidence_level() -> None:
    wide, narrow = (Interval(**summary(confidence=level)["metrics"]["map"]) for level in (0.99, 0.5))
    assert wide.low < narrow.low <= narrow.value <= narrow.high < wide.high


def test_tie_ranges_are_means_of_the_bounds() -> None:
    found = summary()
    for metric in ("map", "t_map"):
        assert found["tie_ranges"][metric] == {
            "worst": pytest.approx(np.mean([compute_precision(row) for row in rank_relevance(metric, "worst")])),
            "best": pytest.approx(np.mean([compute_precision(row) for row in rank_relevance(metric, "best")])),
        }
    assert found["tie_ranges"].keys() == {"map", "t_map"}
    assert summary(ties="worst")["tie_ranges"] == {}


def expected_precision(relevant: int, items: int) -> float:
    """Return the expected average precision of a random ranking: the mean of the precisions at a hit."""
    return sum((1 + rank * (relevant - 1) / (items - 1)) / (rank + 1) for rank in range(items)) / items * (relevant > 0)


def test_the_summary_has_chance_levels_and_query_counts() -> None:
    found = summary()
    for metric in ("map", "t_map"):
        expected = [expected_precision(int(row.sum()), DATABASE) for row in rank_relevance(metric, "stable")]
        assert found["chance"][metric] == pytest.approx(np.mean(expected))
    assert found["queries"] == QUERIES
    assert found["target_labels"] == len({tuple(labels) for labels in LABELS["t_map"].tolist()})


def test_codes_are_described_by_their_number_and_the_largest_one() -> None:
    codes = torch.tensor([[0], [0], [0], [7]], dtype=torch.uint8)
    labels = torch.tensor([[1, 0], [1, 0], [0, 1], [1, 1]], dtype=torch.uint8)
    variety = 2 ** (0.5 * 1 + 2 * 0.25 * 2)  # two to the entropy in bits of shares 1/2, 1/4 and 1/4
    assert describe_codes(codes, labels) == {
        "distinct_codes": 2,
        "largest_code": 0.75,
        "label_variety": pytest.approx(variety),
    }
    assert describe_codes(codes[:0], labels[:0]) == {"distinct_codes": 0, "largest_code": 0.0, "label_variety": 0.0}


def test_the_summary_counts_unchanged_queries_and_those_without_a_gradient() -> None:
    values = {**rank(), "perceptibility": torch.tensor([0.0, 0.1] * 6), "gradient": torch.tensor([0.0, 1.0, -1.0] * 4)}
    found = summarize(values, LABELS, DATABASE_LABELS, Protocol(), targeted=True)
    assert (found["unchanged"], found["gradientless"]) == (6, 4)
    del values["perceptibility"], values["gradient"]
    found = summarize(values, LABELS, DATABASE_LABELS, Protocol(), targeted=True)
    assert not {"unchanged", "gradientless"} & found.keys()


def test_queries_left_out_by_the_definition_are_not_counted() -> None:
    found = summary(map="top-k-skip", depth=1)
    assert found["queries"] == sum(bool(row[0]) for row in rank_relevance("map", "stable")) < QUERIES


def test_queries_without_a_target_are_left_out_of_t_map_alone() -> None:
    ranked = rank_queries(pack(CODES), pack(ITEMS), LABELS, DATABASE_LABELS, bits=BITS, protocol=Protocol())
    rows = torch.zeros(len(CODES), dtype=torch.int64)
    rows[1] = -1
    values, kept = leave_out_untargeted(ranked, rows), rows >= 0
    for name, value in values.items():
        if name.startswith("t_map"):
            assert value[1].isnan().all()
            assert torch.equal(value[kept], ranked[name][kept])
        elif name != "cluster":
            assert torch.equal(value, ranked[name])
    assert int(values["cluster"][1]) == -1
    summary: Any = summarize(values, LABELS, DATABASE_LABELS, Protocol(), targeted=False)
    assert summary["metrics"]["t_map"]["value"] == pytest.approx(float(ranked["t_map"][kept].mean()))
    chance = float(random_precision(LABELS["t_map"][kept], DATABASE_LABELS).mean())
    assert summary["chance"]["t_map"] == pytest.approx(chance)
    assert summary["target_labels"] == len(torch.unique(LABELS["t_map"][kept], dim=0))
