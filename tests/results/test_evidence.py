"""What rows rest on: the steps behind them, and the values of single queries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from retbench.contracts import Protocol
from retbench.errors import ArtifactMissing
from retbench.execute import LocalExecutor
from retbench.plan import Plan
from retbench.results import StepRecord, collect, shown_steps, stored_scores, stored_steps
from retbench.store import Artifact, Store

Planner = Callable[..., Plan]


@pytest.fixture
def plan(toy_plan: Planner, executor: LocalExecutor) -> Plan:
    """A plan of two cells, run by known versions."""
    executor.versions = {"retbench": "1.2"}
    made = toy_plan({"attack": ["none", "toy"]})
    assert executor.run(made).failures == {}
    return made


def keys_of(plan: Plan, stage: str) -> list[str]:
    return [key for key, step in plan.steps.items() if step.name == stage]


def test_every_stored_step_is_told_as_its_artifact_tells_it(plan: Plan, store: Store) -> None:
    steps = stored_steps(plan, store)
    assert list(steps) == list(plan.steps)
    for key, step in steps.items():
        meta: Any = store.meta(key)
        assert (step.stage, step.label) == (plan.steps[key].name, plan.steps[key].label)
        assert (step.seconds, step.peak_memory) == (meta["seconds"], meta["peak_memory"])
        assert step.environment == meta["environment"]
        assert step.environment["versions"] == {"retbench": "1.2"}


def test_only_steps_that_run_networks_have_a_precision(plan: Plan, store: Store) -> None:
    precisions = {step.stage: step.precision for step in stored_steps(plan, store).values()}
    assert precisions["encode"] == precisions["fit"] == "float32"
    assert precisions["score"] == precisions["targets"] == ""


def test_the_facts_that_reports_read_are_those_of_encodings(plan: Plan, store: Store) -> None:
    steps = stored_steps(plan, store)
    for key, step in steps.items():
        kept = {"distinct", "float32_agreement"} if step.stage == "encode" else set()
        assert step.summary == {name: told for name, told in store.summary(key).items() if name in kept}
    assert all("distinct" in steps[key].summary for key in keys_of(plan, "encode"))


def test_a_step_that_is_not_stored_is_left_out(plan: Plan, store: Store) -> None:
    (gone,) = keys_of(plan, "fit")
    store.discard(gone)
    assert set(stored_steps(plan, store)) == set(plan.steps) - {gone}


@pytest.mark.parametrize(("stage", "name"), [("fit", "meta.json"), ("encode", "meta.json"), ("encode", "summary.json")])
def test_a_damaged_step_is_left_out(plan: Plan, store: Store, stage: str, name: str) -> None:
    key = keys_of(plan, stage)[0]
    path: Path = next(store.root.glob(f"objects/*/{key}/{name}"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert set(stored_steps(plan, store)) == set(plan.steps) - {key}


class Counted(Store):
    """Remembers what was read from it."""

    read: list[str]

    def get(self, key: str) -> Artifact:
        self.read.append(key)
        return super().get(key)


def test_scores_are_those_of_the_store_and_each_is_read_once(plan: Plan, store: Store) -> None:
    counted = Counted(store.root)
    counted.read = []
    scores, keys = stored_scores(counted), [cell.key or "" for cell in plan.cells]
    for key in (*keys, *keys):
        assert torch.equal(scores(key)["map"], store.get(key).tensors["map"])
    assert counted.read == keys


def test_scores_that_are_not_there_are_an_error(store: Store) -> None:
    with pytest.raises(ArtifactMissing):
        stored_scores(store)("0" * 64)


def test_the_steps_of_rows_are_shown_once_in_the_order_they_ran(plan: Plan, store: Store) -> None:
    rows, steps = collect(plan, store, Protocol()), stored_steps(plan, store)
    assert shown_steps(rows[:1], steps) == [steps[key] for key in rows[0].steps]
    assert len(shown_steps(rows, steps)) == len(plan.steps)
    without = {key: step for key, step in steps.items() if step.stage != "fit"}
    assert [step.stage for step in shown_steps(rows[:1], without)] == [
        step.stage for step in shown_steps(rows[:1], steps) if step.stage != "fit"
    ]
    assert shown_steps([], steps) == []


def test_a_step_record_is_a_plain_tuple_of_what_a_bundle_keeps() -> None:
    assert StepRecord._fields == ("stage", "label", "precision", "seconds", "peak_memory", "environment", "summary")
