"""Running a plan: stored steps, resumption, and errors of steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from retbench.contracts import Context, Event, State, TrainingData
from retbench.contracts.context import Precision
from retbench.errors import StoreUnwritable
from retbench.execute import LocalExecutor
from retbench.plan import Plan
from retbench.store import Store
from retbench.testing.toys import ToyHasher

Planner = Callable[..., Plan]


class HookedHasher(ToyHasher):
    """Calls a function of the test in its fit, and draws from torch's global generator."""

    name: ClassVar[str] = "hooked"
    on_fit: ClassVar[Callable[[Context], None]] = staticmethod(lambda ctx: None)

    def fit(self, data: TrainingData, ctx: Context) -> State:
        type(self).on_fit(ctx)
        return {**super().fit(data, ctx), "weight": torch.randn(data.facts.bits, 3)}


def kinds(events: list[Event]) -> list[str]:
    return [event.event for event in events]


def read_tensors(plan: Plan, store: Store, stage: str) -> dict[str, Tensor]:
    (key,) = (key for key, step in plan.steps.items() if step.name == stage)
    return dict(store.get(key).tensors)


def test_a_second_run_executes_nothing(toy_plan: Planner, executor: LocalExecutor, events: list[Event]) -> None:
    plan = toy_plan({"attack": "toy", "defense": "toy"})
    first = executor.run(plan)
    events.clear()
    second = executor.run(plan)
    assert (first.executed, first.stored) == (len(plan.steps), 0)
    assert (second.executed, second.stored) == (0, len(plan.steps))
    assert kinds(events) == ["run_started"] + ["step_hit"] * len(plan.steps)
    assert [event.key for event in events[1:]] == list(plan.steps)


def test_a_larger_matrix_executes_only_new_steps(toy_plan: Planner, executor: LocalExecutor) -> None:
    small, large = toy_plan({}), toy_plan({"attack": ["none", "toy"]})
    executor.run(small)
    result = executor.run(large)
    assert result.stored == len(small.steps)
    assert result.executed == len(large.steps) - len(small.steps) == 3


def test_every_step_emits_events(toy_plan: Planner, executor: LocalExecutor, events: list[Event]) -> None:
    plan = toy_plan({})
    executor.run(plan)
    assert events[0] == Event("run_started", total=len(plan.steps))
    steps = [event for event in events if event.event in ("step_started", "step_done")]
    assert [(event.event, event.key) for event in steps] == [
        (kind, key) for key in plan.steps for kind in ("step_started", "step_done")
    ]
    assert {(event.done, event.total) for event in events if event.event == "step_progress"} == {(40, 40), (10, 10)}


def test_an_artifact_records_recipe_cost_and_environment(
    toy_plan: Planner, executor: LocalExecutor, store: Store
) -> None:
    plan = toy_plan({})
    executor.run(plan)
    for key, stage in plan.steps.items():
        meta: Any = store.meta(key)
        assert meta["recipe"] == stage.full_recipe
        assert meta["units"] == stage.units
        assert meta["seconds"] >= 0
        assert meta["peak_memory"] > 1_000_000
        assert meta["batch_size"] == 64
        assert meta["environment"]["torch"] == torch.__version__
        assert meta["environment"]["threads"] == torch.get_num_threads()
        assert meta["environment"]["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    timings = store.timings()
    assert [timing["stage"] for timing in timings] == [stage.name for stage in plan.steps.values()]
    assert all(timing["device"] == "cpu" and timing["bytes"] for timing in timings)


def test_an_artifact_records_the_versions_that_computed_it(
    toy_plan: Planner, executor: LocalExecutor, store: Store
) -> None:
    small, large = toy_plan({}), toy_plan({"attack": "toy"})
    executor.versions = {"retbench": "1.0"}
    executor.run(small)
    executor.versions = {"retbench": "1.1", "retbench-attacks": "0.3"}
    executor.run(large)
    for key in {**small.steps, **large.steps}:
        environment: Any = store.meta(key)["environment"]
        first = {"retbench": "1.0"} if key in small.steps else {"retbench": "1.1", "retbench-attacks": "0.3"}
        assert environment["versions"] == first


def test_a_store_that_cannot_be_written_ends_the_run(toy_plan: Planner, executor: LocalExecutor, store: Store) -> None:
    store.root.mkdir()
    (store.root / "objects").write_text("a file")
    with pytest.raises(StoreUnwritable, match="it is not a folder; choose another with store=DIR"):
        executor.run(toy_plan({}))


def test_an_interrupt_is_raised_at_once_and_finished_steps_stay(
    toy_plan: Planner, executor: LocalExecutor, store: Store, flaky: Any
) -> None:
    plan = toy_plan({"attack": ["none", "flaky"]}, flaky)
    flaky.errors[:] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        executor.run(plan)
    kept = store.keys()
    assert plan.cells[0].key in kept
    assert len(flaky.calls) == 1
    result = executor.run(plan)
    assert (result.stored, result.executed) == (len(kept), len(plan.steps) - len(kept))


class ContestedStore(Store):
    """A store in which another run removes every checked artifact first."""

    def check(self, key: str) -> None:
        self.discard(key)
        super().check(key)


def test_an_artifact_that_another_run_removes_is_computed_again(toy_plan: Planner, tmp_path: Path) -> None:
    executor = LocalExecutor(ContestedStore(tmp_path), torch.device("cpu"), lambda event: None)
    plan = toy_plan({})
    executor.run(plan)
    result = executor.run(plan)
    assert (result.executed, result.failures) == (len(plan.steps), {})


@pytest.mark.parametrize("name", ["tensors.safetensors", "summary.json", "meta.json"])
def test_a_corrupt_artifact_is_reported_and_computed_again(
    toy_plan: Planner, executor: LocalExecutor, store: Store, events: list[Event], name: str
) -> None:
    plan = toy_plan({})
    executor.run(plan)
    key = next(key for key, step in plan.steps.items() if step.name == "fit")
    before = (
        store.get(key).tensors["weight"].clone()
    )  # the stored tensor is memory-mapped and would change with the file
    damaged = next(store.root.glob(f"objects/*/{key}/{name}"))
    data = bytearray(damaged.read_bytes())
    data[-2] ^= 1
    damaged.write_bytes(data)
    events.clear()
    result = executor.run(plan)
    (warning,) = (event for event in events if event.event == "warning")
    assert warning.key == key
    assert warning.message.endswith("; it is computed again")
    assert (result.executed, result.stored) == (1, len(plan.steps) - 1)
    assert torch.equal(store.get(key).tensors["weight"], before)


def test_a_fit_is_reproducible_and_restores_the_global_generator(
    toy_plan: Planner, executor: LocalExecutor, store: Store, tmp_path: Path
) -> None:
    plan = toy_plan({"hasher": "hooked"}, HookedHasher)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    executor.run(plan)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    again = LocalExecutor(Store(tmp_path / "other"), torch.device("cpu"), lambda event: None)
    again.run(toy_plan({"hasher": "hooked", "attack": "toy"}, HookedHasher))
    weight = read_tensors(plan, store, "fit")["weight"]
    assert torch.equal(read_tensors(plan, again.store, "fit")["weight"], weight)


def test_a_step_computes_float32_without_tf32(
    toy_plan: Planner, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(HookedHasher, "on_fit", lambda ctx: seen.append(torch.backends.cudnn.allow_tf32))
    before = torch.backends.cudnn.allow_tf32
    assert executor.run(toy_plan({"hasher": "hooked"}, HookedHasher)).failures == {}
    assert seen == [False]
    assert torch.backends.cudnn.allow_tf32 == before


def test_the_seed_changes_the_trained_network(toy_plan: Planner, executor: LocalExecutor, store: Store) -> None:
    plans = [toy_plan({"hasher": "hooked", "seed": seed}, HookedHasher) for seed in (0, 1)]
    for plan in plans:
        executor.run(plan)
    weights = [read_tensors(plan, store, "fit")["weight"] for plan in plans]
    assert not torch.equal(*weights)


def test_curves_and_images_of_a_fit_are_stored_with_its_weights(
    toy_plan: Planner, executor: LocalExecutor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def record(ctx: Context) -> None:
        ctx.record("loss", [2.0, 1.0])
        ctx.record("prototype", torch.full((3, 2, 2), 7, dtype=torch.uint8))

    monkeypatch.setattr(HookedHasher, "on_fit", staticmethod(record))
    plan = toy_plan({"hasher": "hooked"}, HookedHasher)
    assert executor.run(plan).failures == {}
    (key,) = (key for key, step in plan.steps.items() if step.name == "fit")
    assert store.summary(key)["record"] == {"loss": [2.0, 1.0]}
    assert torch.equal(store.get(key).tensors["record/prototype"], torch.full((3, 2, 2), 7, dtype=torch.uint8))


def test_a_fit_finds_the_checkpoint_of_an_interrupted_run(
    toy_plan: Planner, executor: LocalExecutor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []

    def interrupt_once(ctx: Context) -> None:
        assert ctx.checkpoints is not None
        found.append((ctx.checkpoints / "epoch-1").exists())
        (ctx.checkpoints / "epoch-1").touch()
        if len(found) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(HookedHasher, "on_fit", staticmethod(interrupt_once))
    plan = toy_plan({"hasher": "hooked"}, HookedHasher)
    with pytest.raises(KeyboardInterrupt):
        executor.run(plan)
    assert executor.run(plan).failures == {}
    assert found == [False, True]
    assert list((store.root / "work").iterdir()) == []


def test_a_training_that_is_resumed_with_other_threads_records_both_numbers(
    toy_plan: Planner, executor: LocalExecutor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt_first(ctx: Context) -> None:
        if ctx.load_checkpoint("training") is None:
            ctx.save_checkpoint("training", {"step": 1})
            raise KeyboardInterrupt

    monkeypatch.setattr(HookedHasher, "on_fit", staticmethod(interrupt_first))
    plan = toy_plan({"hasher": "hooked"}, HookedHasher)
    threads = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        executor.run(plan)
    try:
        torch.set_num_threads(threads + 1)
        assert executor.run(plan).failures == {}
    finally:
        torch.set_num_threads(threads)
    (key,) = (key for key, step in plan.steps.items() if step.name == "fit")
    environment: Any = store.meta(key)["environment"]
    assert (environment["threads"], environment["earlier_threads"]) == (threads + 1, [threads])


def test_a_checkpoint_carries_the_key_of_its_step_and_one_of_another_step_is_dropped_with_a_warning(
    toy_plan: Planner,
    executor: LocalExecutor,
    store: Store,
    events: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[object] = []

    def interrupt_first(ctx: Context) -> None:
        found.append(ctx.load_checkpoint("training"))
        ctx.save_checkpoint("training", {"step": len(found)})
        if len(found) < 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(HookedHasher, "on_fit", staticmethod(interrupt_first))
    plan = toy_plan({"hasher": "hooked"}, HookedHasher)
    (key,) = (key for key, step in plan.steps.items() if step.name == "fit")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            executor.run(plan)
    assert found == [None, {"step": 1}]
    other = toy_plan({"hasher": "hooked", "seed": 1}, HookedHasher)
    (other_key,) = (key for key, step in other.steps.items() if step.name == "fit")
    assert other_key != key
    (store.root / "work" / key).rename(store.root / "work" / other_key)
    assert executor.run(other).failures == {}
    assert found == [None, {"step": 1}, None]
    (warning,) = (event for event in events if event.event == "warning")
    assert warning.key == other_key
    reason = f"it belongs to another training: key got {key[:12]}, expected {other_key[:12]}"
    assert warning.message.startswith(f"hooked: a checkpoint is dropped: training.pt: {reason}")


def test_a_warning_of_a_fit_is_stored_with_its_weights_and_reported(
    toy_plan: Planner,
    executor: LocalExecutor,
    store: Store,
    events: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def doubt(ctx: Context) -> None:
        ctx.distrust("its training diverged")
        ctx.distrust("it has few images")

    monkeypatch.setattr(HookedHasher, "on_fit", staticmethod(doubt))
    plan = toy_plan({"hasher": "hooked"}, HookedHasher)
    assert executor.run(plan).failures == {}
    (key,) = (key for key, step in plan.steps.items() if step.name == "fit")
    assert store.summary(key) == {"warnings": ["its training diverged", "it has few images"]}
    (warning,) = (event for event in events if event.event == "warning")
    assert (warning.key, warning.message) == (key, "hooked: its training diverged; it has few images")


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_step_runs_at_the_precision_of_its_recipe(
    toy_plan: Planner, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    precisions: list[Precision] = []
    monkeypatch.setattr(HookedHasher, "on_fit", staticmethod(lambda ctx: precisions.append(ctx.precision)))
    executor.run(toy_plan({"hasher": "hooked"}, HookedHasher, precision=precision))
    assert precisions == [precision]
