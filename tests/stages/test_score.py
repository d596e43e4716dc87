"""MAP, T-MAP and image distances, against plain numpy on the stored artifacts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from retbench.contracts.facts import Split
from retbench.execute import LocalExecutor
from retbench.metrics import bounded_interval
from retbench.plan import Plan, PlannedCell
from retbench.stages import Score
from retbench.store import Store
from retbench.testing.toys import ToyDataset

Planner = Callable[..., Plan]
ScorePlan = Callable[[Plan], list[dict[str, Any]]]
Ints = NDArray[np.int64]
BITS = 5  # few bits, so that many distances tie


class UnlabeledQueries(ToyDataset):
    """The toy dataset with queries without a label, which match nothing."""

    name: ClassVar[str] = "unlabeled"

    def labels(self, split: Split) -> Tensor:
        labels = super().labels(split)
        if split == "query":
            labels[::4] = 0
        return labels

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        return ToyDataset.images(ToyDataset(queries=self.queries, database=self.database), split, rows)


def bit_rows(packed: Tensor) -> Ints:
    return np.unpackbits(packed.numpy(), axis=1)[:, :BITS].astype(np.int64)


class ReferenceRanking:
    """Rankings of a cell's stored codes by the number of different bits, in numpy."""

    def __init__(self, plan: Plan, cell: PlannedCell, store: Store) -> None:
        score = plan.steps[cell.key or ""]
        assert isinstance(score, Score)
        rows, dataset = list(score.queries.rows), score.queries.dataset
        self.database_labels: Ints = dataset.labels("database").numpy().astype(np.int64)
        targets = store.get(score.targets).tensors["labels"].numpy().astype(np.int64)
        self.labels = {"map": dataset.labels("query").numpy().astype(np.int64)[rows], "t_map": targets[rows]}
        queries, database = (bit_rows(store.get(key).tensors["codes"]) for key in (score.codes, score.database))
        distances = (queries[:, None] != database[None]).sum(2)
        self.order = np.argsort(distances, axis=1, kind="stable")

    def precisions(self, metric: str, definition: str = "full", depth: int = 40) -> list[float]:
        relevant = (self.labels[metric] @ self.database_labels.T > 0).astype(np.int64)
        return [
            average_precision(row[order], definition, depth) for row, order in zip(relevant, self.order, strict=True)
        ]


def random_precision(relevant: int, items: int) -> float:
    """Return the expected average precision of a random ranking: the mean of the precisions at a hit."""
    return sum((1 + rank * (relevant - 1) / (items - 1)) / (rank + 1) for rank in range(items)) / items * (relevant > 0)


def average_precision(relevant: Ints, definition: str, depth: int) -> float:
    if definition.startswith("top-k"):
        relevant = relevant[:depth]
    terms = [relevant[: rank + 1].sum() / (rank + 1) for rank in np.flatnonzero(relevant)]
    if definition == "first-k-relevant":
        terms = terms[:depth]
    empty = math.nan if definition == "top-k-skip" else 0.0
    return float(np.mean(terms)) if terms else empty


@pytest.mark.parametrize("matrix", [{}, {"attack": "toy"}, {"attack": "toy", "defense": "toy"}])
def test_map_and_t_map_match_the_stored_codes(
    toy_plan: Planner, store: Store, score_plan: ScorePlan, matrix: dict[str, Any]
) -> None:
    plan = toy_plan({"bits": BITS, **matrix})
    (summary,) = score_plan(plan)
    reference = ReferenceRanking(plan, plan.cells[0], store)
    stored = store.get(plan.cells[0].key or "").tensors
    for metric in ("map", "t_map"):
        expected = reference.precisions(metric)
        assert stored[metric].tolist() == pytest.approx(expected)
        assert summary["metrics"][metric]["value"] == pytest.approx(np.mean(expected))
        relevant = (reference.labels[metric] @ reference.database_labels.T > 0).sum(1)
        random = [random_precision(count, len(reference.database_labels)) for count in relevant]
        assert summary["chance"][metric] == pytest.approx(np.mean(random))
    assert summary["queries"] == 10


@pytest.mark.parametrize("definition", ["top-k", "top-k-skip", "first-k-relevant"])
def test_the_protocol_defines_map(toy_plan: Planner, store: Store, score_plan: ScorePlan, definition: str) -> None:
    plan = toy_plan({"bits": BITS, "dataset": "unlabeled"}, UnlabeledQueries, protocol={"map": definition, "depth": 3})
    (summary,) = score_plan(plan)
    expected = ReferenceRanking(plan, plan.cells[0], store).precisions("map", definition, 3)
    assert summary["metrics"]["map"]["value"] == pytest.approx(np.nanmean(expected))
    assert summary["queries"] == np.isfinite(expected).sum() == (7 if definition == "top-k-skip" else 10)


def test_the_protocol_defines_tie_breaking(toy_plan: Planner, score_plan: ScorePlan) -> None:
    values = {
        ties: score_plan(toy_plan({"bits": 2}, protocol={"ties": ties}))[0]["metrics"]["map"]["value"]
        for ties in ("best", "stable", "expected", "worst")
    }
    assert values["best"] > values["expected"] > values["worst"]
    assert values["best"] >= values["stable"] >= values["worst"]


@pytest.mark.parametrize(
    ("attack", "clustered"), [("none", {"t_map"}), ("toy-untargeted", {"t_map"}), ("toy", {"map", "t_map"})]
)
def test_metrics_that_depend_on_targets_are_resampled_by_target(
    toy_plan: Planner, store: Store, score_plan: ScorePlan, attack: str, clustered: set[str]
) -> None:
    plan = toy_plan({"bits": BITS, "attack": attack}, protocol={"confidence": 0.8, "resamples": 300})
    (summary,) = score_plan(plan)
    stored = store.get(plan.cells[0].key or "").tensors
    for metric in ("map", "t_map"):
        clusters = stored["cluster"] if metric in clustered else None
        expected = bounded_interval(stored[metric], clusters=clusters, level=0.8, resamples=300)
        assert summary["metrics"][metric] == expected._asdict()
        assert summary["metrics"][metric]["low"] < summary["metrics"][metric]["high"]


@pytest.mark.parametrize(("attack", "targeted"), [("none", False), ("toy-untargeted", False), ("toy", True)])
def test_the_recipe_records_whether_the_attack_is_targeted(toy_plan: Planner, attack: str, targeted: bool) -> None:
    plan = toy_plan({"attack": attack})
    score = plan.steps[plan.cells[0].key or ""]
    assert score.recipe()["targeted"] is targeted
    assert Score.revision == 3


def test_the_values_of_each_query_are_stored(toy_plan: Planner, store: Store, score_plan: ScorePlan) -> None:
    plan = toy_plan({"bits": BITS, "attack": "toy", "defense": "toy"})
    (summary,) = score_plan(plan)
    stored = store.get(plan.cells[0].key or "").tensors
    assert {name: tuple(values.shape) for name, values in stored.items()} == {
        **{f"{metric}{end}": (10,) for metric in ("map", "t_map") for end in ("", "_worst", "_best")},
        **{f"{metric}_recall": (10, 21) for metric in ("map", "t_map")},
        **{f"{metric}_depth": (10, 5) for metric in ("map", "t_map")},
        **dict.fromkeys(("perceptibility", "purified_rmse", "ssim", "gradient", "cluster"), (10,)),
        "depths": (5,),
    }
    assert summary["target_labels"] == len(stored["cluster"].unique())
    assert summary["tie_ranges"]["map"] == {
        "worst": pytest.approx(float(stored["map_worst"].mean())),
        "best": pytest.approx(float(stored["map_best"].mean())),
    }


def test_perceptibility_is_the_root_mean_squared_error(toy_plan: Planner, store: Store, score_plan: ScorePlan) -> None:
    plan = toy_plan({"bits": BITS, "attack": "toy", "defense": "toy"}, shard=4)
    (summary,) = score_plan(plan)
    (cell,) = plan.cells
    for metric, shards in (("perceptibility", cell.attacked), ("purified_rmse", cell.purified)):
        squared = [float(value) for key in shards for value in store.get(key).tensors["mse"]]
        assert len(squared) == 10
        assert summary["metrics"][metric]["value"] == pytest.approx(math.sqrt(sum(squared) / 10))
    similar = [float(value) for key in cell.attacked for value in store.get(key).tensors["ssim"]]
    assert summary["metrics"]["ssim"]["value"] == pytest.approx(sum(similar) / 10)


def test_purified_rmse_is_over_all_copies(toy_plan: Planner, score_plan: ScorePlan, store: Store) -> None:
    options = {"defense": {"toy": {"copies": 2}}}
    plan = toy_plan({"bits": BITS, "defense": "toy"}, components=options)
    (summary,) = score_plan(plan)
    first, second = (store.get(key).tensors["mse"] for key in plan.cells[0].purified)
    assert not torch.equal(first, second)
    expected = math.sqrt(float((first + second).mean() / 2))
    assert summary["metrics"]["purified_rmse"]["value"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("matrix", "metrics"),
    [
        ({}, {"map", "t_map"}),
        ({"defense": "toy"}, {"map", "t_map", "purified_rmse"}),
        ({"attack": "toy"}, {"map", "t_map", "perceptibility", "purified_rmse", "ssim"}),
    ],
)
def test_only_changed_images_have_distances(
    toy_plan: Planner, score_plan: ScorePlan, matrix: dict[str, Any], metrics: set[str]
) -> None:
    assert score_plan(toy_plan(matrix))[0]["metrics"].keys() == metrics


def test_a_mean_over_no_queries_is_null(toy_plan: Planner, executor: LocalExecutor, store: Store) -> None:
    plan = toy_plan({"defense": "toy"}, protocol={"targets": {"above": 40}})  # no query has a target
    assert executor.run(plan).failures == {}
    summary: Any = store.summary(plan.cells[0].key or "")
    assert summary["metrics"]["t_map"] == {"value": None, "low": None, "high": None}
    assert summary["metrics"]["map"]["value"] > 0
    assert (summary["chance"]["t_map"], summary["target_labels"], summary["queries"]) == (None, 0, 10)


def test_only_the_sampled_queries_are_scored(toy_plan: Planner, store: Store, score_plan: ScorePlan) -> None:
    few, many = (toy_plan({"bits": BITS}, protocol={"queries": count}) for count in (4, 10))
    assert score_plan(few)[0]["queries"] == 4
    score_plan(many)
    stored = [store.get(plan.cells[0].key or "").tensors["t_map"] for plan in (few, many)]
    assert torch.equal(stored[0], stored[1][:4])


def test_the_number_of_distinct_database_codes_is_recorded(toy_plan: Planner, score_plan: ScorePlan) -> None:
    one, many = (score_plan(toy_plan({"bits": bits}))[0]["distinct_codes"] for bits in (1, 64))
    assert one <= 2 < many
