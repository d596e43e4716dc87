"""Walks a plan in this process, one step after another."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import Context, Event, Noise
from retbench.contracts.event import EventKind
from retbench.errors import ArtifactCorrupt, ArtifactMissing, StoreUnwritable
from retbench.execute.device import environment, free_memory, peak_memory, reset_peak
from retbench.execute.failure import Failure, FailureKind, StepTimeout, classify
from retbench.plan import Plan
from retbench.stages import Outcome, Stage
from retbench.stages.stage import CostKind
from retbench.stages.states import RECORDED
from retbench.store import Artifact, Store

BATCH = 64
SHARE = 0.5
"""Of the free memory that a step plans to take: estimates err, and other programs want some."""
RETRIES = 2


class RunResult(NamedTuple):
    """What a run did.

    Attributes:
        executed: steps that ran.
        stored: steps that were there already.
        failures: failed steps by key, with those that waited for them.
        seconds: wall time.
    """

    executed: int
    stored: int
    failures: dict[str, Failure]
    seconds: float


@dataclass
class LocalExecutor:
    """Runs what is not stored, keeps what it can, and goes on past a failure.

    Attributes:
        store: where artifacts are read and written.
        device: what steps compute on; their precision is part of their recipe.
        tell: told every event.
        step_timeout: seconds a step may take, looked at whenever it reports progress; None for no limit.
        versions: of retbench and its plugins, by distribution; recorded with every step.
        batch_sizes: micro-batch by kind of step, where memory has run out; the store's ledger keeps it for later runs.
    """

    store: Store
    device: torch.device
    tell: Callable[[Event], None]
    step_timeout: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    batch_sizes: dict[CostKind, int] = field(default_factory=dict)

    def run(self, plan: Plan) -> RunResult:
        """Return what happened once every step is stored, failed, or waited for one that failed.

        Raises:
            StoreUnwritable: the store cannot be written; what is finished stays.
            KeyboardInterrupt: passed on at once.
        """
        started, executed, stored = time.perf_counter(), 0, 0
        failures: dict[str, Failure] = {}
        with self.store.running():
            self.tell(Event("run_started", total=len(plan.steps)))
            self._discard_corrupt(plan)
            self._recall()
            for index, (key, stage) in enumerate(plan.steps.items()):
                blocker = next((failures[k] for k in stage.inputs if k in failures), None)
                if self.store.has(key):
                    stored += 1
                    self._report("step_hit", stage, index + 1, len(plan.steps))
                elif blocker:
                    failures[key] = blocker
                elif failure := self._attempt(plan, stage):
                    failures[key] = failure
                else:
                    executed += 1
        return RunResult(executed, stored, failures, time.perf_counter() - started)

    def _discard_corrupt(self, plan: Plan) -> None:
        """Check every byte that the plan would build on; what does not match is removed, said so, and runs again."""
        for key in filter(self.store.has, plan.steps):
            try:
                self.store.check(key)
            except ArtifactMissing:
                continue  # another run was first to remove it
            except ArtifactCorrupt as error:
                self.store.discard(key)
                self._report("warning", plan.steps[key], message=f"{error}; it is computed again")

    def _attempt(self, plan: Plan, stage: Stage) -> Failure | None:
        """Run a step, again with less or once more where that can help, and returns its failure, if it stays one."""
        self._report("step_started", stage)
        retries = 0
        while True:
            try:
                self._execute(plan, stage)
                return None
            except StoreUnwritable:
                raise
            except (Exception, SystemExit) as error:  # any plugin's code runs in there; a cell must not stop the others
                kind, told = classify(error), str(error) or repr(error)
                if kind is FailureKind.OOM and self._halve(stage):
                    continue
                if kind is FailureKind.INFRA and retries < RETRIES:
                    retries += 1
                    self._report("warning", stage, message=f"{told}; trying again")
                    continue
                reason = f"{type(error).__name__}: {error}" if kind is FailureKind.PLUGIN else told
                reason = " ".join(reason.split())  # one line, whatever a library wrote
                self._report("step_failed", stage, message=reason, failure=kind, trace=traceback.format_exc())
                return Failure(kind, reason, f"{stage.name} {stage.label}")

    def _halve(self, stage: Stage) -> bool:
        size = self._batch_size(stage) // 2
        if size < 1:
            return False
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.batch_sizes[stage.cost_kind] = size
        self._report("warning", stage, message=f"out of memory; trying again with {size} images at once")
        return True

    def _batch_size(self, stage: Stage) -> int:
        """Return the micro-batch of a step: what the free memory should hold, less where it has run out before."""
        free = free_memory(self.device) if stage.memory else None
        fitting = BATCH if free is None else int(SHARE * free) // cast(int, stage.memory)
        return max(1, min(BATCH, fitting, self.batch_sizes.get(stage.cost_kind, BATCH)))

    def _recall(self) -> None:
        """Read from the store's ledger where memory has run out in earlier runs on such a device."""
        for timing in self.store.timings():
            if (size := timing.get("halved_to")) and timing.get("device") == self.device.type:
                kind = (str(timing["stage"]), str(timing["work"]), str(timing["options"]))
                self.batch_sizes[kind] = min(cast(int, size), self.batch_sizes.get(kind, BATCH))

    def _execute(self, plan: Plan, stage: Stage) -> None:
        started, records = time.perf_counter(), dict[str, Any]()
        batch_size = self._batch_size(stage)
        reset_peak(self.device)
        with self.store.checkpoints(stage.key) as folder, _seeded(stage.noise(self.device), self.device):
            ctx = Context(
                device=self.device,
                precision=stage.runs_in,
                noise=stage.noise(self.device),
                batch_size=batch_size,
                progress=self._progress(stage, started),
                record=records.__setitem__,
                checkpoints=folder,
            )
            outcome = _with_records(stage.run(self._load, ctx), records)
            self._keep(stage, outcome, time.perf_counter() - started, batch_size)

    def _load(self, key: str) -> Artifact:
        return self.store.get(key)

    def _keep(self, stage: Stage, outcome: Outcome, seconds: float, batch_size: int) -> None:
        cost: dict[str, Json] = {
            "seconds": round(seconds, 4),
            "units": stage.units,
            "peak_memory": peak_memory(self.device),
            "batch_size": batch_size,
        }
        around: dict[str, Json] = {**environment(self.device), "versions": dict(self.versions)}
        meta = {"recipe": stage.full_recipe, "label": stage.label, "environment": around, **cost}
        size = self.store.put(Artifact(stage.key, outcome.tensors, outcome.summary, meta))
        kind = {"stage": stage.name, "work": stage.work, "options": stage.options, "device": self.device.type}
        halved = {"halved_to": self.batch_sizes.get(stage.cost_kind)}
        self.store.append_timing({**kind, **cost, **halved, "bytes": size})
        self._report("step_done", stage, seconds=seconds)

    def _progress(self, stage: Stage, started: float) -> Callable[[int, int], None]:
        def progress(done: int, total: int) -> None:
            seconds = time.perf_counter() - started
            if self.step_timeout is not None and seconds > self.step_timeout:
                raise StepTimeout(f"it ran longer than {self.step_timeout:g} s; raise --step-timeout")
            self._report("step_progress", stage, done, total, seconds=seconds)

        return progress

    def _report(self, event: EventKind, stage: Stage, done: int = 0, total: int = 0, **details: Any) -> None:
        self.tell(Event(event, stage.name, stage.label, stage.key, done, total, **details))


def _with_records(outcome: Outcome, records: dict[str, Any]) -> Outcome:
    """Return the outcome with what the step recorded: pictures among the tensors, curves in the summary."""
    pictures = {f"{RECORDED}{name}": value for name, value in records.items() if isinstance(value, Tensor)}
    curves = {name: value for name, value in records.items() if not isinstance(value, Tensor)}
    summary = {**outcome.summary, "record": curves} if curves else outcome.summary
    return Outcome({**outcome.tensors, **pictures}, summary)


@contextmanager
def _seeded(noise: Noise, device: torch.device) -> Iterator[None]:
    """Seeds torch's global generators for the block, because initializers and dropout read them, and restores them."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if len(noise.ids) == 1:
            torch.manual_seed(noise.generator("global").initial_seed())
        yield
