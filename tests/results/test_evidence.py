"""Step records and per-query values behind rows."""

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
from retbench.results import StepRecord, collect, make_score_reader, read_step_records, steps_of_rows
from retbench.store import Artifact, Store

Planner = Callable[..., Plan]


@pytest.fixture
def plan(toy_plan: Planner, executor: LocalExecutor) -> Plan:
    """Return a plan of two cells after running it with known versions."""
    executor.versions = {"retbench": "1.2"}
    planned = toy_plan({"attack": ["none", "toy"]})
    assert executor.run(planned).failures == {}
    return planned


def keys_of(plan: Plan, stage: str) -> list[str]:
    return [key for key, step in plan.steps.items() if step.name == stage]


def test_step_records_match_the_stored_artifacts(plan: Plan, store: Store) -> None:
    steps = read_step_records(plan, store)
    assert list(steps) == list(plan.steps)
    for key, step in steps.items():
        meta: Any = store.meta(key)
        assert (step.stage, step.label) == (plan.steps[key].name, plan.steps[key].label)
        assert (step.seconds, step.peak_memory) == (meta["seconds"], meta["peak_memory"])
        assert step.environment == meta["environment"]
        assert step.environment["versions"] == {"retbench": "1.2"}


def test_only_steps_with_networks_have_a_precision(plan: Plan, store: Store) -> None:
    precisions = {step.stage: step.precision for step in read_step_records(plan, store).values()}
    assert precisions["encode"] == precisions["fit"] == "float32"
    assert precisions["score"] == precisions["targets"] == ""


def test_only_encodings_have_a_summary(plan: Plan, store: Store) -> None:
    steps = read_step_records(plan, store)
    for key, step in steps.items():
        kept = {"distinct", "float32_agreement"} if step.stage == "encode" else set()
        assert step.summary == {name: value for name, value in store.summary(key).items() if name in kept}
    assert all("distinct" in steps[key].summary for key in keys_of(plan, "encode"))


def test_a_step_that_is_not_stored_is_left_out(plan: Plan, store: Store) -> None:
    (missing,) = keys_of(plan, "fit")
    store.discard(missing)
    assert set(read_step_records(plan, store)) == set(plan.steps) - {missing}


@pytest.mark.parametrize(("stage", "name"), [("fit", "meta.json"), ("encode", "meta.json"), ("encode", "summary.json")])
def test_a_damaged_step_is_left_out(plan: Plan, store: Store, stage: str, name: str) -> None:
    key = keys_of(plan, stage)[0]
    path: Path = next(store.root.glob(f"objects/*/{key}/{name}"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert set(read_step_records(plan, store)) == set(plan.steps) - {key}


class CountingStore(Store):
    """Records the keys that are read."""

    read: list[str]

    def get(self, key: str) -> Artifact:
        self.read.append(key)
        return super().get(key)


def test_scores_are_read_once(plan: Plan, store: Store) -> None:
    counted = CountingStore(store.root)
    counted.read = []
    scores, keys = make_score_reader(counted), [cell.key or "" for cell in plan.cells]
    for key in (*keys, *keys):
        assert torch.equal(scores(key)["map"], store.get(key).tensors["map"])
    assert counted.read == keys


def test_missing_scores_are_an_error(store: Store) -> None:
    with pytest.raises(ArtifactMissing):
        make_score_reader(store)("0" * 64)


def test_steps_of_rows_are_unique_and_in_plan_order(plan: Plan, store: Store) -> None:
    rows, steps = collect(plan, store, Protocol()), read_step_records(plan, store)
    assert steps_of_rows(rows[:1], steps) == [steps[key] for key in rows[0].steps]
    assert len(steps_of_rows(rows, steps)) == len(plan.steps)
    without = {key: step for key, step in steps.items() if step.stage != "fit"}
    assert [step.stage for step in steps_of_rows(rows[:1], without)] == [
        step.stage for step in steps_of_rows(rows[:1], steps) if step.stage != "fit"
    ]
    assert steps_of_rows([], steps) == []


def test_the_fields_of_a_step_record_are_those_of_bundles() -> None:
    assert StepRecord._fields == ("stage", "label", "precision", "seconds", "peak_memory", "environment", "summary")
