"""Failures of steps: their class, retries, and the other steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from retbench.contracts import Context, Course, Event, Facts, Noise, State, TrainingData
from retbench.errors import (
    ArtifactCorrupt,
    ArtifactMissing,
    ContractBreach,
    OptionError,
    PluginError,
    TrainingDiverged,
    UserError,
)
from retbench.execute import FailureKind, LocalExecutor
from retbench.execute.failure import StepTimeout, classify
from retbench.plan import Plan
from retbench.store import Store
from retbench.testing.toys import ToyHasher, ToyPurifier

Planner = Callable[..., Plan]


class MemoryPurifier(ToyPurifier):
    """Runs out of memory with more than `fits` images."""

    name: ClassVar[str] = "memory"

    fits: int = 4
    error: Literal["torch", "runtime", "host"] = "torch"

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        if len(images) > self.fits:
            errors = {
                "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
                "runtime": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
                "host": MemoryError(),
            }
            raise errors[self.error]
        return super().purify(images, module, noise)


class MemoryHasher(ToyHasher):
    """Has the name of the purifier, and never runs out of memory."""

    name: ClassVar[str] = "memory"


def warnings(events: list[Event]) -> list[str]:
    return [event.message for event in events if event.event == "warning"]


class SlowHasher(ToyHasher):
    """Reports progress after the time limit."""

    name: ClassVar[str] = "slow"

    def fit(self, data: TrainingData, ctx: Context) -> State:
        time.sleep(0.02)
        ctx.progress(1, 2)
        pytest.fail("the step went on after its time limit")


@pytest.mark.parametrize("error", ["torch", "runtime", "host"])
def test_the_batch_size_is_halved_when_memory_runs_out(
    toy_plan: Planner, executor: LocalExecutor, store: Store, events: list[Event], error: str
) -> None:
    options = {"dataset": {"toy": {"queries": 20}}, "defense": {"memory": {"error": error}}}
    plan = toy_plan({"defense": "memory", "hasher": "memory"}, MemoryPurifier, MemoryHasher, components=options)
    assert executor.run(plan).failures == {}
    batches = {f"{step.name} {step.method}": store.meta(key)["batch_size"] for key, step in plan.steps.items()}
    assert batches.pop("purify memory") == 4
    assert set(batches.values()) == {64}
    assert warnings(events) == [f"out of memory; trying again with a batch size of {size}" for size in (32, 16, 8, 4)]


def test_a_reduced_batch_size_is_kept_and_gives_the_same_images(
    toy_plan: Planner, executor: LocalExecutor, store: Store, events: list[Event]
) -> None:
    plan = toy_plan({"defense": "memory"}, MemoryPurifier, shard=5, components={"dataset": {"toy": {"queries": 20}}})
    executor.run(plan)
    assert len(plan.cells[0].purified) == 4
    assert len(warnings(events)) == 4
    unlimited = toy_plan({"defense": "toy"}, shard=20, components={"dataset": {"toy": {"queries": 20}}})
    executor.run(unlimited)
    small, large = (
        torch.cat([store.get(key).tensors["images"] for key in each.cells[0].purified]) for each in (plan, unlimited)
    )
    assert torch.allclose(small, large, rtol=0, atol=1e-6)


class EstimatingPurifier(ToyPurifier):
    """Declares the memory that an image needs."""

    name: ClassVar[str] = "estimating"

    def memory(self, facts: Facts) -> int | None:
        return 10_000


@pytest.mark.parametrize(("free", "expected"), [(200_000, 10), (1_000, 1), (10**9, 64), (None, 64)])
def test_the_batch_fills_half_of_the_free_memory(
    toy_plan: Planner,
    executor: LocalExecutor,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    free: int | None,
    expected: int,
) -> None:
    monkeypatch.setattr("retbench.execute.local.free_memory", lambda device: free)
    plan = toy_plan({"defense": "estimating"}, EstimatingPurifier)
    assert executor.run(plan).failures == {}
    batches = {step.name: store.meta(key)["batch_size"] for key, step in plan.steps.items()}
    assert batches.pop("purify") == expected
    assert set(batches.values()) == {64}


def test_a_later_run_starts_with_the_reduced_batch_size(
    toy_plan: Planner, executor: LocalExecutor, store: Store, events: list[Event]
) -> None:
    options = {"dataset": {"toy": {"queries": 20}}}
    executor.run(toy_plan({"defense": "memory"}, MemoryPurifier, components=options))
    events.clear()
    later = LocalExecutor(store, torch.device("cpu"), events.append)
    other = toy_plan({"defense": "memory", "seed": 1}, MemoryPurifier, components=options)
    assert later.run(other).failures == {}
    assert warnings(events) == []
    assert store.meta(other.cells[0].purified[0])["batch_size"] == 4


def test_the_smallest_recorded_batch_size_is_used(store: Store) -> None:
    kind = {"stage": "purify", "work": "memory", "options": "o", "device": "cpu", "batch_size": 3, "units": 1}
    for size in (16, 4, 8, None):
        store.append_timing({**kind, "halved_to": size})
    store.append_timing({**kind, "device": "cuda", "halved_to": 1})
    executor = LocalExecutor(store, torch.device("cpu"), lambda event: None)
    executor.run(Plan(()))
    assert executor.batch_sizes == {("purify", "memory", "o"): 4}


def test_a_step_fails_when_a_single_image_does_not_fit(
    toy_plan: Planner, executor: LocalExecutor, events: list[Event]
) -> None:
    options = {"defense": {"memory": {"fits": 0, "error": "host"}}}
    plan = toy_plan({"defense": "memory"}, MemoryPurifier, components=options)
    failure = executor.run(plan).failures[plan.cells[0].key or ""]
    assert failure.kind is FailureKind.OOM
    assert failure.reason == "MemoryError()"
    assert len(warnings(events)) == 6


def test_a_step_is_repeated_after_a_disk_error(
    toy_plan: Planner, executor: LocalExecutor, events: list[Event], flaky: Any
) -> None:
    flaky.errors[:] = [OSError("stale file handle"), ConnectionResetError("peer")]
    assert executor.run(toy_plan({"attack": "flaky"}, flaky)).failures == {}
    assert warnings(events) == [
        "peer; trying again",
        "stale file handle; trying again",
    ]


def test_repeated_disk_errors_fail_the_step(toy_plan: Planner, executor: LocalExecutor, flaky: Any) -> None:
    plan = toy_plan({"attack": "flaky"}, flaky)
    flaky.errors[:] = [OSError("stale file handle")] * 4
    failure = executor.run(plan).failures[plan.cells[0].attacked[0]]
    assert failure.kind is FailureKind.INFRA
    assert len(flaky.calls) == 3


def test_halving_the_batch_size_does_not_count_as_a_retry(
    toy_plan: Planner, executor: LocalExecutor, flaky: Any
) -> None:
    flaky.errors[:] = [OSError(), OSError(), MemoryError(), MemoryError(), MemoryError()]
    assert executor.run(toy_plan({"attack": "flaky"}, flaky)).failures == {}


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), SystemExit(2), LookupError("x")], ids=repr)
def test_a_step_is_not_repeated_after_a_bug_of_a_plugin(
    toy_plan: Planner, executor: LocalExecutor, flaky: Any, error: BaseException
) -> None:
    plan = toy_plan({"attack": ["flaky", "toy"]}, flaky)
    flaky.errors[:] = [error]
    failures = executor.run(plan).failures
    assert failures[plan.cells[0].attacked[0]].kind is FailureKind.PLUGIN
    assert plan.cells[1].key not in failures
    assert len(flaky.calls) == 1


def test_a_step_over_its_time_limit_is_stopped_when_it_reports_progress(
    toy_plan: Planner, executor: LocalExecutor
) -> None:
    executor.step_timeout = 0.01
    plan = toy_plan({"hasher": "slow"}, SlowHasher)
    failure = executor.run(plan).failures[plan.cells[0].key or ""]
    assert failure.kind is FailureKind.TIMEOUT
    assert failure.reason == "it ran longer than 0.01 s; raise step_timeout"
    assert failure.step.startswith("fit slow")


def test_other_cells_are_done_when_one_fails(
    toy_plan: Planner, executor: LocalExecutor, store: Store, events: list[Event]
) -> None:
    plan = toy_plan({"attack": ["none", "faulty", "toy"], "defense": ["none", "toy"]})
    failures = executor.run(plan).failures
    failed = [planned.key in failures for planned in plan.cells]
    assert failed == [False, False, True, True, False, False]
    assert [store.has(planned.key or "") for planned in plan.cells] == [not each for each in failed]
    assert sum(event.event == "step_failed" for event in events) == 1


def test_steps_that_depend_on_a_failed_step_share_its_failure(toy_plan: Planner, executor: LocalExecutor) -> None:
    plan = toy_plan({"attack": "faulty", "defense": "toy"})
    failures = executor.run(plan).failures
    (failed,) = plan.cells[0].attacked
    assert failures.keys() == {key for key in plan.steps if failed in plan.ancestry(key)}
    assert len(failures) == 4
    for failure in failures.values():
        assert failure.kind is FailureKind.INVALID
        assert failure.step == f"attack {plan.steps[failed].label}"
        assert failure.reason.startswith("attack faulty (package retbench): NaN")


def test_a_failed_step_is_reported_with_its_traceback_and_repeated_by_the_next_run(
    toy_plan: Planner, executor: LocalExecutor, events: list[Event], flaky: Any
) -> None:
    plan = toy_plan({"attack": "flaky"}, flaky)
    flaky.errors[:] = [ZeroDivisionError("a bug")]
    executor.run(plan)
    (failed,) = (event for event in events if event.event == "step_failed")
    assert (failed.failure, failed.message) == ("plugin_error", "ZeroDivisionError: a bug")
    assert "in perturb" in failed.trace
    assert executor.run(plan).failures == {}


class DivergingHasher(ToyHasher):
    """Has a loss of NaN in its third step."""

    name: ClassVar[str] = "diverging"

    def fit(self, data: TrainingData, ctx: Context) -> State:
        weight = nn.Parameter(torch.ones(1))
        optimizer = torch.optim.SGD([weight], lr=1.0)
        course = Course(ctx, {"optimizer": optimizer})
        for step in range(4):
            course.descend(optimizer, weight.sum() * (float("nan") if step == 2 else 1.0))
            course.advance(4)
        return super().fit(data, ctx)


def test_a_diverged_training_fails_as_such_with_component_and_step(toy_plan: Planner, executor: LocalExecutor) -> None:
    plan = toy_plan({"hasher": "diverging"}, DivergingHasher)
    failure = executor.run(plan).failures[plan.cells[0].key or ""]
    assert failure.kind == "diverged"
    assert failure.reason == "diverging: loss of step 3 is not finite: got nan; lower the learning rate"


class CustomError(PluginError):
    """A plugin's own error."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ContractBreach("attack toy", "x"), "invalid"),
        (StepTimeout("x"), "timeout"),
        (MemoryError(), "oom"),
        (torch.OutOfMemoryError("CUDA out of memory"), "oom"),
        (RuntimeError("CUDA error: out of memory"), "oom"),
        (RuntimeError("MPS backend out of memory"), "oom"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "oom"),
        (RuntimeError("shapes do not fit"), "plugin_error"),
        (ValueError("out of memory of what was asked"), "plugin_error"),
        (OSError("stale"), "infra_error"),
        (FileNotFoundError("gone"), "infra_error"),
        (TimeoutError("network"), "infra_error"),
        (ArtifactCorrupt("x"), "infra_error"),
        (ArtifactMissing("x"), "infra_error"),
        (CustomError("x"), "plugin_error"),
        (TrainingDiverged("x"), "diverged"),
        (UserError("weights net.pth: missing first.bias"), "data_error"),
        (OptionError("attack toy", "eps", "got 8, expected at most 1"), "data_error"),
        (SystemExit(1), "plugin_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value)[:40],
)
def test_errors_are_classified(error: BaseException, kind: str) -> None:
    assert classify(error) == kind
