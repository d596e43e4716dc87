"""Why a step fails, whether it is tried again, and what becomes of the rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from retbench.contracts import Context, Event, Facts, Noise, State, TrainingData
from retbench.errors import ArtifactCorrupt, ArtifactMissing, ContractBreach, PluginError
from retbench.execute import FailureKind, LocalExecutor
from retbench.execute.failure import StepTimeout, classify
from retbench.plan import Plan
from retbench.store import Store
from retbench.testing.toys import ToyHasher, ToyPurifier

Planner = Callable[..., Plan]


class Hungry(ToyPurifier):
    """Runs out of memory above a number of images."""

    name: ClassVar[str] = "hungry"

    fits: int = 4
    how: Literal["torch", "runtime", "host"] = "torch"

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        if len(images) > self.fits:
            errors = {
                "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
                "runtime": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
                "host": MemoryError(),
            }
            raise errors[self.how]
        return super().purify(images, module, noise)


class HungryHasher(ToyHasher):
    """Has the purifier's name, and memory enough."""

    name: ClassVar[str] = "hungry"


def warnings(events: list[Event]) -> list[str]:
    return [event.message for event in events if event.event == "warning"]


class Slow(ToyHasher):
    """Reports its progress too late."""

    name: ClassVar[str] = "slow"

    def fit(self, data: TrainingData, ctx: Context) -> State:
        time.sleep(0.02)
        ctx.progress(1, 2)
        pytest.fail("the limit had passed")


@pytest.mark.parametrize("how", ["torch", "runtime", "host"])
def test_memory_that_runs_out_halves_the_batch(
    toy_plan: Planner, executor: LocalExecutor, store: Store, events: list[Event], how: str
) -> None:
    options = {"dataset": {"toy": {"queries": 20}}, "defense": {"hungry": {"how": how}}}
    plan = toy_plan({"defense": "hungry", "hasher": "hungry"}, Hungry, HungryHasher, components=options)
    assert executor.run(plan).failures == {}
    batches = {f"{step.name} {step.work}": store.meta(key)["batch_size"] for key, step in plan.steps.items()}
    assert batches.pop("purify hungry") == 4
    assert set(batches.values()) == {64}
    assert warnings(events) == [f"out of memory; trying again with {size} images at once" for size in (32, 16, 8, 4)]


def test_the_smaller_batch_is_remembered_and_gives_the_same_images(
    toy_plan: Planner, executor: LocalExecutor, store: Store, events: list[Event]
) -> None:
    plan = toy_plan({"defense": "hungry"}, Hungry, shard=5, components={"dataset": {"toy": {"queries": 20}}})
    executor.run(plan)
    assert len(plan.cells[0].purified) == 4
    assert len(warnings(events)) == 4
    amply = toy_plan({"defense": "toy"}, shard=20, components={"dataset": {"toy": {"queries": 20}}})
    executor.run(amply)
    small, large = (
        torch.cat([store.get(key).tensors["images"] for key in which.cells[0].purified]) for which in (plan, amply)
    )
    assert torch.allclose(small, large, rtol=0, atol=1e-6)


class Weighty(ToyPurifier):
    """Says how much memory an image needs."""

    name: ClassVar[str] = "weighty"

    def memory(self, facts: Facts) -> int | None:
        return 10_000


@pytest.mark.parametrize(("free", "expected"), [(200_000, 10), (1_000, 1), (10**9, 64), (None, 64)])
def test_the_batch_is_what_half_of_the_free_memory_holds(
    toy_plan: Planner,
    executor: LocalExecutor,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    free: int | None,
    expected: int,
) -> None:
    monkeypatch.setattr("retbench.execute.local.free_memory", lambda device: free)
    plan = toy_plan({"defense": "weighty"}, Weighty)
    assert executor.run(plan).failures == {}
    batches = {step.name: store.meta(key)["batch_size"] for key, step in plan.steps.items()}
    assert batches.pop("purify") == expected
    assert set(batches.values()) == {64}


def test_a_later_run_remembers_where_memory_ran_out(
    toy_plan: Planner, executor: LocalExecutor, store: Store, events: list[Event]
) -> None:
    options = {"dataset": {"toy": {"queries": 20}}}
    executor.run(toy_plan({"defense": "hungry"}, Hungry, components=options))
    events.clear()
    later = LocalExecutor(store, torch.device("cpu"), events.append)
    other = toy_plan({"defense": "hungry", "seed": 1}, Hungry, components=options)
    assert later.run(other).failures == {}
    assert warnings(events) == []
    assert store.meta(other.cells[0].purified[0])["batch_size"] == 4


def test_of_several_batches_at_which_memory_ran_out_the_smallest_is_remembered(store: Store) -> None:
    kind = {"stage": "purify", "work": "hungry", "options": "o", "device": "cpu", "batch_size": 3, "units": 1}
    for size in (16, 4, 8, None):
        store.append_timing({**kind, "halved_to": size})
    store.append_timing({**kind, "device": "cuda", "halved_to": 1})
    executor = LocalExecutor(store, torch.device("cpu"), lambda event: None)
    executor.run(Plan(()))
    assert executor.batch_sizes == {("purify", "hungry", "o"): 4}


def test_memory_that_runs_out_for_a_single_image_fails_the_step(
    toy_plan: Planner, executor: LocalExecutor, events: list[Event]
) -> None:
    plan = toy_plan({"defense": "hungry"}, Hungry, components={"defense": {"hungry": {"fits": 0, "how": "host"}}})
    failure = executor.run(plan).failures[plan.cells[0].key or ""]
    assert failure.kind is FailureKind.OOM
    assert failure.reason == "MemoryError()"
    assert len(warnings(events)) == 6


def test_a_disk_error_is_tried_again(
    toy_plan: Planner, executor: LocalExecutor, events: list[Event], flaky: Any
) -> None:
    flaky.errors[:] = [OSError("stale file handle"), ConnectionResetError("peer")]
    assert executor.run(toy_plan({"attack": "flaky"}, flaky)).failures == {}
    assert warnings(events) == [
        "peer; trying again",
        "stale file handle; trying again",
    ]


def test_a_disk_error_that_stays_fails_the_step(toy_plan: Planner, executor: LocalExecutor, flaky: Any) -> None:
    plan = toy_plan({"attack": "flaky"}, flaky)
    flaky.errors[:] = [OSError("stale file handle")] * 4
    failure = executor.run(plan).failures[plan.cells[0].attacked[0]]
    assert failure.kind is FailureKind.INFRA
    assert len(flaky.calls) == 3


def test_halving_does_not_use_up_the_retries(toy_plan: Planner, executor: LocalExecutor, flaky: Any) -> None:
    flaky.errors[:] = [OSError(), OSError(), MemoryError(), MemoryError(), MemoryError()]
    assert executor.run(toy_plan({"attack": "flaky"}, flaky)).failures == {}


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), SystemExit(2), LookupError("x")], ids=repr)
def test_a_bug_of_a_plugin_is_not_tried_again(
    toy_plan: Planner, executor: LocalExecutor, flaky: Any, error: BaseException
) -> None:
    plan = toy_plan({"attack": ["flaky", "toy"]}, flaky)
    flaky.errors[:] = [error]
    failures = executor.run(plan).failures
    assert failures[plan.cells[0].attacked[0]].kind is FailureKind.PLUGIN
    assert plan.cells[1].key not in failures
    assert len(flaky.calls) == 1


def test_a_step_over_its_time_is_stopped_at_its_next_sign_of_progress(
    toy_plan: Planner, executor: LocalExecutor
) -> None:
    executor.step_timeout = 0.01
    plan = toy_plan({"hasher": "slow"}, Slow)
    failure = executor.run(plan).failures[plan.cells[0].key or ""]
    assert failure.kind is FailureKind.TIMEOUT
    assert failure.reason == "it ran longer than 0.01 s; raise --step-timeout"
    assert failure.culprit.startswith("fit slow")


def test_one_failed_cell_leaves_the_others_done(
    toy_plan: Planner, executor: LocalExecutor, store: Store, events: list[Event]
) -> None:
    plan = toy_plan({"attack": ["none", "faulty", "toy"], "defense": ["none", "toy"]})
    failures = executor.run(plan).failures
    done = [planned.key in failures for planned in plan.cells]
    assert done == [False, False, True, True, False, False]
    assert [store.has(planned.key or "") for planned in plan.cells] == [not failed for failed in done]
    assert sum(event.event == "step_failed" for event in events) == 1


def test_what_waits_for_a_failed_step_shares_its_failure(toy_plan: Planner, executor: LocalExecutor) -> None:
    plan = toy_plan({"attack": "faulty", "defense": "toy"})
    failures = executor.run(plan).failures
    (culprit,) = plan.cells[0].attacked
    assert failures.keys() == {key for key in plan.steps if culprit in plan.ancestry(key)}
    assert len(failures) == 4
    for failure in failures.values():
        assert failure.kind is FailureKind.INVALID
        assert failure.culprit == f"attack {plan.steps[culprit].label}"
        assert failure.reason.startswith("attack faulty (package retbench): NaN")


def test_a_failed_step_is_told_with_its_traceback_and_tried_again_by_the_next_run(
    toy_plan: Planner, executor: LocalExecutor, events: list[Event], flaky: Any
) -> None:
    plan = toy_plan({"attack": "flaky"}, flaky)
    flaky.errors[:] = [ZeroDivisionError("a bug")]
    executor.run(plan)
    (failed,) = (event for event in events if event.event == "step_failed")
    assert (failed.failure, failed.message) == ("plugin_error", "ZeroDivisionError: a bug")
    assert "in perturb" in failed.trace
    assert executor.run(plan).failures == {}


class Forgotten(PluginError):
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
        (Forgotten("x"), "plugin_error"),
        (SystemExit(1), "plugin_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value)[:40],
)
def test_errors_have_a_class(error: BaseException, kind: str) -> None:
    assert classify(error) == kind
