"""From codes to MAP, T-MAP and what the images cost, against plain numpy on the stored artifacts."""

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
from retbench.metrics import bootstrap_interval
from retbench.plan import Plan, PlannedCell
from retbench.stages import Score
from retbench.store import Store
from retbench.testing.toys import ToyDataset

Planner = Callable[..., Plan]
Scored = Callable[[Plan], list[dict[str, Any]]]
Ints = NDArray[np.int64]
BITS = 5  # few, so that many distances tie


class Crowded(ToyDataset):
    """Labels that not every class of the database has, so that a query may find nothing among the first."""

    name: ClassVar[str] = "crowded"

    def labels(self, split: Split) -> Tensor:
        labels = super().labels(split)
        if split == "query":
            labels[::4] = 0
        return labels

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        return ToyDataset.images(ToyDataset(queries=self.queries, database=self.database), split, rows)


def bit_rows(packed: Tensor) -> Ints:
    return np.unpackbits(packed.numpy(), axis=1)[:, :BITS].astype(np.int64)


class Ranked:
    """A cell's stored codes and its labels, ranked by counting different bits."""

    def __init__(self, plan: Plan, cell: PlannedCell, store: Store) -> None:
        score = plan.steps[cell.key or ""]
        assert isinstance(score, Score)
        rows, dataset = list(score.queries.rows), score.queries.dataset
        self.database_labels: Ints = dataset.labels("database").numpy().astype(np.int64)
        targets = store.get(score.targets).tensors["labels"].numpy().astype(np.int64)
        self.wanted = {"map": dataset.labels("query").numpy().astype(np.int64)[rows], "t_map": targets[rows]}
        queries, database = (bit_rows(store.get(key).tensors["codes"]) for key in (score.codes, score.database))
        distances = (queries[:, None] != database[None]).sum(2)
        self.order = np.argsort(distances, axis=1, kind="stable")

    def precisions(self, metric: str, definition: str = "full", depth: int = 40) -> list[float]:
        relevant = (self.wanted[metric] @ self.database_labels.T > 0).astype(np.int64)
        return [cut_precision(row[order], definition, depth) for row, order in zip(relevant, self.order, strict=True)]


def cut_precision(relevant: Ints, definition: str, depth: int) -> float:
    if definition.startswith("top-k"):
        relevant = relevant[:depth]
    terms = [relevant[: rank + 1].sum() / (rank + 1) for rank in np.flatnonzero(relevant)]
    if definition == "first-k-relevant":
        terms = terms[:depth]
    empty = math.nan if definition == "top-k-skip" else 0.0
    return float(np.mean(terms)) if terms else empty


@pytest.mark.parametrize("matrix", [{}, {"attack": "toy"}, {"attack": "toy", "defense": "toy"}])
def test_map_and_t_map_are_those_of_the_stored_codes(
    toy_plan: Planner, store: Store, scored: Scored, matrix: dict[str, Any]
) -> None:
    plan = toy_plan({"bits": BITS, **matrix})
    (facts,) = scored(plan)
    ranked = Ranked(plan, plan.cells[0], store)
    saved = store.get(plan.cells[0].key or "").tensors
    for metric in ("map", "t_map"):
        expected = ranked.precisions(metric)
        assert saved[metric].tolist() == pytest.approx(expected)
        assert facts["metrics"][metric]["value"] == pytest.approx(np.mean(expected))
        wanted = ranked.wanted[metric] @ ranked.database_labels.T > 0
        assert facts["chance"][metric] == pytest.approx(wanted.mean())
    assert facts["queries"] == 10


@pytest.mark.parametrize("definition", ["top-k", "top-k-skip", "first-k-relevant"])
def test_the_protocol_says_how_map_is_cut(toy_plan: Planner, store: Store, scored: Scored, definition: str) -> None:
    plan = toy_plan({"bits": BITS, "dataset": "crowded"}, Crowded, protocol={"map": definition, "depth": 3})
    (facts,) = scored(plan)
    expected = Ranked(plan, plan.cells[0], store).precisions("map", definition, 3)
    assert facts["metrics"]["map"]["value"] == pytest.approx(np.nanmean(expected))
    assert facts["queries"] == np.isfinite(expected).sum() == (7 if definition == "top-k-skip" else 10)


def test_the_protocol_says_how_ties_are_broken(toy_plan: Planner, scored: Scored) -> None:
    values = {
        ties: scored(toy_plan({"bits": 2}, protocol={"ties": ties}))[0]["metrics"]["map"]["value"]
        for ties in ("best", "stable", "expected", "worst")
    }
    assert values["best"] > values["expected"] > values["worst"]
    assert values["best"] >= values["stable"] >= values["worst"]


@pytest.mark.parametrize(
    ("attack", "clustered"), [("none", {"t_map"}), ("toy-untargeted", {"t_map"}), ("toy", {"map", "t_map"})]
)
def test_intervals_draw_queries_of_one_target_together_where_the_number_hangs_on_it(
    toy_plan: Planner, store: Store, scored: Scored, attack: str, clustered: set[str]
) -> None:
    plan = toy_plan({"bits": BITS, "attack": attack}, protocol={"confidence": 0.8, "resamples": 300})
    (facts,) = scored(plan)
    saved = store.get(plan.cells[0].key or "").tensors
    for metric in ("map", "t_map"):
        clusters = saved["cluster"] if metric in clustered else None
        expected = bootstrap_interval(saved[metric], clusters=clusters, level=0.8, resamples=300)
        assert facts["metrics"][metric] == expected._asdict()
        assert facts["metrics"][metric]["low"] < facts["metrics"][metric]["high"]


@pytest.mark.parametrize(("attack", "targeted"), [("none", False), ("toy-untargeted", False), ("toy", True)])
def test_whether_the_queries_were_attacked_towards_their_targets_is_in_the_recipe(
    toy_plan: Planner, attack: str, targeted: bool
) -> None:
    plan = toy_plan({"attack": attack})
    score = plan.steps[plan.cells[0].key or ""]
    assert score.recipe()["targeted"] is targeted
    assert Score.revision == 2


def test_what_a_ranking_says_of_each_query_is_stored(toy_plan: Planner, store: Store, scored: Scored) -> None:
    plan = toy_plan({"bits": BITS, "attack": "toy", "defense": "toy"})
    (facts,) = scored(plan)
    saved = store.get(plan.cells[0].key or "").tensors
    assert {name: tuple(values.shape) for name, values in saved.items()} == {
        **{f"{metric}{end}": (10,) for metric in ("map", "t_map") for end in ("", "_worst", "_best")},
        **{f"{metric}_recall": (10, 21) for metric in ("map", "t_map")},
        **{f"{metric}_depth": (10, 5) for metric in ("map", "t_map")},
        **dict.fromkeys(("perceptibility", "purified_rmse", "ssim", "cluster"), (10,)),
        "depths": (5,),
    }
    assert facts["target_labels"] == len(saved["cluster"].unique())
    assert facts["tie_ranges"]["map"] == {
        "worst": pytest.approx(float(saved["map_worst"].mean())),
        "best": pytest.approx(float(saved["map_best"].mean())),
    }


def test_perceptibility_is_the_root_of_the_mean_squared_error(toy_plan: Planner, store: Store, scored: Scored) -> None:
    plan = toy_plan({"bits": BITS, "attack": "toy", "defense": "toy"}, shard=4)
    (facts,) = scored(plan)
    (cell,) = plan.cells
    for metric, shards in (("perceptibility", cell.attacked), ("purified_rmse", cell.purified)):
        squared = [float(value) for key in shards for value in store.get(key).tensors["mse"]]
        assert len(squared) == 10
        assert facts["metrics"][metric]["value"] == pytest.approx(math.sqrt(sum(squared) / 10))
    similar = [float(value) for key in cell.attacked for value in store.get(key).tensors["ssim"]]
    assert facts["metrics"]["ssim"]["value"] == pytest.approx(sum(similar) / 10)


def test_purified_rmse_averages_the_squares_of_all_copies(toy_plan: Planner, scored: Scored, store: Store) -> None:
    options = {"defense": {"toy": {"copies": 2}}}
    plan = toy_plan({"bits": BITS, "defense": "toy"}, components=options)
    (facts,) = scored(plan)
    first, second = (store.get(key).tensors["mse"] for key in plan.cells[0].purified)
    assert not torch.equal(first, second)
    expected = math.sqrt(float((first + second).mean() / 2))
    assert facts["metrics"]["purified_rmse"]["value"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("matrix", "metrics"),
    [
        ({}, {"map", "t_map"}),
        ({"defense": "toy"}, {"map", "t_map", "purified_rmse"}),
        ({"attack": "toy"}, {"map", "t_map", "perceptibility", "purified_rmse", "ssim"}),
    ],
)
def test_images_are_measured_where_they_were_changed(
    toy_plan: Planner, scored: Scored, matrix: dict[str, Any], metrics: set[str]
) -> None:
    assert scored(toy_plan(matrix))[0]["metrics"].keys() == metrics


def test_a_mean_over_nothing_is_stored_as_null(toy_plan: Planner, executor: LocalExecutor, store: Store) -> None:
    plan = toy_plan({"attack": "toy", "defense": "toy"}, components={"dataset": {"toy": {"queries": 0}}})
    assert executor.run(plan).failures == {}
    facts: Any = store.summary(plan.cells[0].key or "")
    assert facts["metrics"]["map"] == {"value": None, "low": None, "high": None}
    assert facts["chance"] == {"map": None, "t_map": None}
    assert facts["queries"] == 0


def test_only_the_sampled_queries_are_scored(toy_plan: Planner, store: Store, scored: Scored) -> None:
    few, many = (toy_plan({"bits": BITS}, protocol={"queries": count}) for count in (4, 10))
    assert scored(few)[0]["queries"] == 4
    scored(many)
    saved = [store.get(plan.cells[0].key or "").tensors["t_map"] for plan in (few, many)]
    assert torch.equal(saved[0], saved[1][:4])


def test_collapsed_codes_are_told(toy_plan: Planner, scored: Scored) -> None:
    one, many = (scored(toy_plan({"bits": bits}))[0]["distinct_codes"] for bits in (1, 64))
    assert one <= 2 < many
