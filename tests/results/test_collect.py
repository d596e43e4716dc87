"""Collecting the rows of a plan."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from retbench.canon import Json, canonical
from retbench.contracts import Component, Context, Facts, Protocol, Split, State, TrainingData
from retbench.execute import LocalExecutor
from retbench.metrics import Interval
from retbench.plan import Plan
from retbench.results import Row, collect
from retbench.stages import draw_queries
from retbench.store import Store
from retbench.suite import AXES
from retbench.testing.toys import ToyDataset, ToyPurifier

Planner = Callable[..., Plan]
FULL = Protocol()


@pytest.fixture
def run_plan(toy_plan: Planner, executor: LocalExecutor) -> Callable[..., Plan]:
    """Return a function that plans a matrix and runs it."""

    def run(matrix: dict[str, Any], *extra: type[Component], **fields: Any) -> Plan:
        plan = toy_plan(matrix, *extra, **fields)
        executor.run(plan)
        return plan

    return run


def only_row(plan: Plan, store: Store, protocol: Protocol = FULL) -> Row:
    (row,) = collect(plan, store, protocol)
    return row


def test_rows_are_in_matrix_order(run_plan: Planner, store: Store) -> None:
    plan = run_plan({"bits": [16, 8], "attack": ["toy", "none"], "defense": ["none", "toy"]})
    rows = collect(plan, store, FULL)
    assert [(row.bits, row.attack, row.defense) for row in rows] == [
        (bits, attack, defense) for bits in (16, 8) for attack in ("toy", "none") for defense in ("none", "toy")
    ]
    assert {row.status for row in rows} == {"done"}
    assert [row.key for row in rows] == [cell.key for cell in plan.cells]


class DetailedPurifier(ToyPurifier):
    """Records details."""

    name: ClassVar[str] = "detailed"

    def details(self, facts: Facts) -> dict[str, Json]:
        return {**super().details(facts), "side": facts.image_size[0]}


def test_a_row_has_the_details_of_its_components(run_plan: Planner, store: Store) -> None:
    options = {"defense": {"detailed": {"copies": 2}}}
    row = only_row(run_plan({"defense": "detailed"}, DetailedPurifier, components=options), store)
    side = ToyDataset().facts().image_size[0]
    assert row.details == {"defense detailed": {"copies": 2, "vote": "mean", "side": side}}
    assert row.record()["details"] == row.details
    assert only_row(run_plan({"defense": "toy"}), store).details == {}


def test_a_row_has_the_metrics_of_its_score(run_plan: Planner, store: Store) -> None:
    plan = run_plan({"attack": "toy", "defense": "toy"})
    row = only_row(plan, store)
    summary: Any = store.summary(row.key)
    assert row.metrics == {name: Interval(**interval) for name, interval in summary["metrics"].items()}
    assert row.metrics.keys() == {"map", "t_map", "perceptibility", "purified_rmse", "ssim"}


def test_rows_of_a_sweep_have_different_variants(run_plan: Planner, store: Store) -> None:
    plan = run_plan({"attack": {"toy": {"sweep": {"eps": [0.1, 0.3]}}}})
    rows = collect(plan, store, FULL)
    assert [(row.attack, row.variant, row.budget["eps"]) for row in rows] == [
        ("toy", "eps=0.1", 0.1),
        ("toy", "eps=0.3", 0.3),
    ]


def test_a_cell_that_cannot_run_is_skipped_with_its_reason(run_plan: Planner, store: Store) -> None:
    row = only_row(run_plan({"attack": "toy", "task": "t2i"}), store)
    assert (row.status, row.key, row.metrics) == ("skipped", "", {})
    assert row.reason == "task t2i has text queries; toy works on images"


def test_a_failed_cell_has_its_reason(toy_plan: Planner, executor: LocalExecutor, store: Store) -> None:
    plan = toy_plan({"attack": ["faulty", "toy"]})
    failures = {key: f"{failure.kind}: {failure.reason}" for key, failure in executor.run(plan).failures.items()}
    failed, done = collect(plan, store, FULL, failures)
    assert failed.status == "invalid"
    assert failed.reason.startswith("attack faulty (package retbench): NaN")
    assert failed.key == plan.cells[0].key
    assert (done.status, done.reason) == ("done", "")


class DoubtfulPurifier(ToyPurifier):
    """Stores a caveat in its fit."""

    name: ClassVar[str] = "doubtful"
    learns: ClassVar[bool] = True

    def fit(self, data: TrainingData, ctx: Context) -> State:
        ctx.distrust("its training diverged: loss rose from 1 to 2")
        return {"own": torch.ones(1)}


def test_rows_that_depend_on_a_doubtful_fit_have_its_warning(run_plan: Planner, store: Store) -> None:
    plan = run_plan({"attack": ["none", "toy"], "defense": ["none", "doubtful"]}, DoubtfulPurifier)
    rows = collect(plan, store, FULL)
    warning = "doubtful: its training diverged: loss rose from 1 to 2"
    assert {row.defense: row.warnings.count(warning) for row in rows} == {"none": 0, "doubtful": 1}
    assert all(warning in row.record()["warnings"] for row in rows if row.defense == "doubtful")  # type: ignore[operator]  # a list
    (fit,) = (key for key, step in plan.steps.items() if step.method == "doubtful" and step.name.startswith("fit"))
    damage(store, fit, "summary.json")
    assert [(row.status, row.warnings) for row in collect(plan, store, FULL)] == [("done", ())] * 4


def test_a_cell_that_has_not_run_is_missing(toy_plan: Planner, store: Store) -> None:
    row = only_row(toy_plan({}), store)
    assert (row.status, row.reason, row.metrics, row.cost) == ("missing", "", {}, {})


def damage(store: Store, key: str, name: str) -> None:
    path: Path = next(store.root.glob(f"objects/*/{key}/{name}"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_a_corrupt_score_is_missing(run_plan: Planner, store: Store) -> None:
    plan = run_plan({})
    damage(store, plan.cells[0].key or "", "summary.json")
    assert only_row(plan, store).status == "missing"


def test_a_row_with_a_corrupt_shard_lacks_only_its_cost(run_plan: Planner, store: Store) -> None:
    plan = run_plan({"attack": "toy", "defense": "toy"})
    damage(store, plan.cells[0].attacked[0], "meta.json")
    row = only_row(plan, store)
    assert row.status == "done"
    assert row.cost.keys() == {"defense_seconds_per_query", "defense_peak_memory"}


def test_cost_is_per_query_over_all_shards(run_plan: Planner, store: Store) -> None:
    plan = run_plan({"attack": "toy", "defense": [["toy-hardening", "toy"]]}, shard=4)
    (cell,) = plan.cells
    metas: list[Any] = [store.meta(key) for key in cell.attacked]
    row = only_row(plan, store)
    assert len(metas) == 3
    assert row.cost["attack_seconds_per_query"] == pytest.approx(sum(meta["seconds"] for meta in metas) / 10)
    assert row.cost["attack_peak_memory"] == max(meta["peak_memory"] for meta in metas)
    assert row.cost.keys() == {
        "attack_seconds_per_query",
        "attack_peak_memory",
        "defense_seconds_per_query",
        "defense_peak_memory",
    }


def test_a_clean_cell_has_no_cost_and_no_budget(run_plan: Planner, store: Store) -> None:
    row = only_row(run_plan({}), store)
    assert (row.cost, row.budget) == ({}, {})


@pytest.mark.parametrize("threat", ["oblivious", "adaptive"])
def test_the_budget_is_that_of_the_attack(run_plan: Planner, store: Store, threat: str) -> None:
    row = only_row(run_plan({"attack": "toy", "threat": threat}), store)
    assert row.budget == {"goal": "targeted", "norm": "linf", "eps": 0.2}


def test_a_row_has_its_protocol(run_plan: Planner, store: Store) -> None:
    protocol = Protocol(queries=6, map="top-k", depth=5)
    row = only_row(run_plan({"bits": 16}, protocol=protocol.model_dump()), store, protocol)
    assert {name: row.protocol[name] for name in ("queries", "map", "depth", "ties", "task", "bits")} == {
        "queries": 6,
        "map": "top-k",
        "depth": 5,
        "ties": "stable",
        "task": "i2i",
        "bits": 16,
    }
    assert row.protocol["targets"] == {"rule": "zero-overlap", "above": 0, "seed": 0, "file": None}
    assert row.protocol["scored_queries"] == 6
    chance: Any = row.protocol["chance"]
    assert chance.keys() == {"map", "t_map"}
    assert 0 < chance["t_map"] < 1
    summary: Any = store.summary(row.key)
    assert row.protocol["target_labels"] == summary["target_labels"]


def test_a_row_lists_all_its_steps(run_plan: Planner, store: Store) -> None:
    plan = run_plan({"attack": ["none", "toy"]})
    for row, cell in zip(collect(plan, store, FULL), plan.cells, strict=True):
        assert row.steps == tuple(plan.ancestry(cell.key or ""))
        assert (row.steps[-1], row.keys, row.members) == (row.key, (row.key,), ())


def test_a_row_has_tie_ranges(run_plan: Planner, store: Store) -> None:
    row = only_row(run_plan({"bits": 2}), store)
    stored = store.get(row.key).tensors
    for metric, tie_range in row.tie_ranges.items():
        assert tie_range.worst == pytest.approx(float(stored[f"{metric}_worst"].mean()))
        assert tie_range.best == pytest.approx(float(stored[f"{metric}_best"].mean()))
    assert row.tie_ranges.keys() == {"map", "t_map"}
    protocol = Protocol(ties="worst")
    assert only_row(run_plan({"bits": 2}, protocol={"ties": "worst"}), store, protocol).tie_ranges == {}


def test_a_record_is_flat_json(run_plan: Planner, store: Store) -> None:
    row = only_row(run_plan({"attack": "toy"}), store)
    record: Any = row.record()
    assert json.loads(canonical(record)) == record
    assert list(record) == [field.name for field in fields(Row)]
    assert list(record)[: len(AXES)] == list(AXES)
    assert {axis: record[axis] for axis in AXES} == {
        "dataset": "toy",
        "hasher": "toy",
        "bits": 8,
        "task": "i2i",
        "attack": "toy",
        "surrogate": "none",
        "defense": "none",
        "threat": "oblivious",
        "seed": 0,
    }
    assert record["metrics"]["map"] == row.metrics["map"]._asdict()
    assert list(record["metrics"]["map"]) == ["value", "low", "high"]
    assert record["status"] == "done"


class UnlabeledSample(ToyDataset):
    """Has labels only for queries outside a sample of three."""

    name: ClassVar[str] = "unlabeled"

    def labels(self, split: Split) -> Tensor:
        labels = super().labels(split)
        if split == "query":
            labels[list(draw_queries(ToyDataset(), 3).rows)] = 0
        return labels


class BrokenDataset(ToyDataset):
    """Cannot be planned: its labels are no numbers of the right type, or its queries are in the database."""

    name: ClassVar[str] = "broken"

    breach: bool = False

    def ids(self, split: Split) -> Sequence[str]:
        ids = super().ids(split)
        return [*super().ids("query"), *ids[10:]] if split == "database" else ids

    def labels(self, split: Split) -> Tensor:
        return super().labels(split).float() if self.breach else super().labels(split)


@pytest.mark.parametrize(("breach", "status"), [(False, "failed"), (True, "invalid")])
def test_the_row_of_a_broken_dataset_has_its_error(run_plan: Planner, store: Store, breach: bool, status: str) -> None:
    row = only_row(
        run_plan({"dataset": "broken"}, BrokenDataset, components={"dataset": {"broken": {"breach": breach}}}), store
    )
    assert (row.status, row.metrics) == (status, {})
    assert row.reason.startswith("dataset broken")


def test_a_mean_over_no_queries_is_nan_in_the_row_and_null_in_its_record(run_plan: Planner, store: Store) -> None:
    protocol = {"queries": 3, "map": "top-k-skip", "depth": 5, "targets": {"rule": "uniform"}}
    row = only_row(run_plan({"dataset": "unlabeled", "attack": "toy"}, UnlabeledSample, protocol=protocol), store)
    record: Any = row.record()
    assert row.status == "done"
    assert torch.tensor(row.metrics["map"]).isnan().all()
    assert record["metrics"]["map"] == {"value": None, "low": None, "high": None}
    canonical(record)


def test_a_black_box_row_has_its_access_and_the_mean_of_its_queries(run_plan: Planner, store: Store) -> None:
    attacks = {"toy-score": {"query_budget": 7}, "toy-decision": {"query_budget": 50, "eps": 1.0}}
    matrix = {"attack": ["none", "toy", *attacks], "bits": 2}
    none, white, score, decision = collect(run_plan(matrix, components={"attack": attacks}), store, FULL)
    assert [(row.access, row.query_budget) for row in (none, white, score, decision)] == [
        ("", None),
        ("gradient", None),
        ("score", 7),
        ("decision", 50),
    ]
    assert score.budget == {"goal": "targeted", "norm": "linf", "eps": 0.2, "access": "score"}
    assert "attack_queries" not in {*none.metrics, *white.metrics}
    assert score.metrics["attack_queries"] == Interval(7.0, 7.0, 7.0)
    used = store.get(decision.key).tensors["attack_queries"]
    assert used.dtype == torch.float64
    assert 1 <= used.min() < used.max() <= 50
    assert decision.metrics["attack_queries"].value == pytest.approx(float(used.mean()))
    assert Row(**{**vars(none), "budget": {}}).access == ""
