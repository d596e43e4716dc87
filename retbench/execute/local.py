"""Run the steps of a plan in this process, one after the other."""

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
from retbench.contracts import Component, Context, Event, Noise
from retbench.contracts.event import EventKind
from retbench.errors import ArtifactCorrupt, ArtifactMissing, StoreUnwritable, option_name
from retbench.execute.device import environment, exact_float32, free_memory, peak_memory, reset_peak
from retbench.execute.events import EventHandler
from retbench.execute.failure import Failure, FailureKind, StepTimeout, classify
from retbench.execute.resumption import note_threads
from retbench.plan import Plan
from retbench.stages import Outcome, Stage
from retbench.stages.check import RECORD_PREFIX, check_record
from retbench.stages.stage import CostKind
from retbench.stages.states import WARNINGS
from retbench.store import Artifact, Store

BATCH_SIZE = 64
MEMORY_SHARE = 0.5
"""Share of the free memory that a step may fill; estimates are rough, and other programs need memory too."""
RETRIES = 2


class RunResult(NamedTuple):
    """The outcome of a run.

    Attributes:
        executed: the number of steps that ran.
        stored: the number of steps that were stored already.
        failures: the failures by key of the step, also of steps that depend on a failed one.
        seconds: the wall time.
    """

    executed: int
    stored: int
    failures: dict[str, Failure]
    seconds: float


@dataclass
class LocalExecutor:
    """Runs the steps that are not stored, and continues with the others when one fails.

    Attributes:
        store: the store of artifacts.
        device: the device of all steps.
        emit: the handler of events.
        step_timeout: the seconds that a step may take, checked when it reports progress; None for no limit.
        versions: the versions of retbench and its plugins, by distribution; recorded with every step.
        batch_sizes: the reduced batch sizes after memory ran out, by cost kind; later runs read them from the store.
    """

    store: Store
    device: torch.device
    emit: EventHandler
    step_timeout: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    batch_sizes: dict[CostKind, int] = field(default_factory=dict)

    def run(self, plan: Plan) -> RunResult:
        """Run a plan until every step is stored, has failed, or depends on a failed one.

        Raises:
            StoreUnwritable: the store cannot be written; finished steps stay.
            KeyboardInterrupt: raised at once; finished steps stay.
        """
        started, executed, stored = time.perf_counter(), 0, 0
        failures: dict[str, Failure] = {}
        with self.store.in_use():
            self.emit(Event("run_started", total=len(plan.steps)))
            self._discard_corrupt(plan)
            self._read_batch_sizes()
            for index, (key, stage) in enumerate(plan.steps.items()):
                failed_input = next((failures[k] for k in stage.inputs if k in failures), None)
                if self.store.has(key):
                    stored += 1
                    self._report("step_hit", stage, index + 1, len(plan.steps))
                elif failed_input:
                    failures[key] = failed_input
                elif failure := self._execute_with_retries(stage):
                    failures[key] = failure
                else:
                    executed += 1
        return RunResult(executed, stored, failures, time.perf_counter() - started)

    def _discard_corrupt(self, plan: Plan) -> None:
        """Check the stored artifacts of the plan; report and remove damaged ones, so that their steps run again."""
        for key in filter(self.store.has, plan.steps):
            try:
                self.store.check(key)
            except ArtifactMissing:
                continue  # another run has removed it already
            except ArtifactCorrupt as error:
                self.store.discard(key)
                self._report("warning", plan.steps[key], message=f"{error}; it is computed again")

    def _execute_with_retries(self, stage: Stage) -> Failure | None:
        """Run a step, and repeat it after memory or disk errors; return its failure, or None."""
        self._report("step_started", stage)
        retries = 0
        while True:
            try:
                self._execute(stage)
                return None
            except StoreUnwritable:
                raise
            except (Exception, SystemExit) as error:  # plugin code may raise anything, and other cells must go on
                kind, message = classify(error), str(error) or repr(error)
                if kind is FailureKind.OOM and self._halve_batch_size(stage):
                    continue
                if kind is FailureKind.INFRA and retries < RETRIES:
                    retries += 1
                    self._report("warning", stage, message=f"{message}; trying again")
                    continue
                reason = f"{type(error).__name__}: {error}" if kind is FailureKind.PLUGIN else message
                reason = " ".join(reason.split())  # messages of libraries may have several lines
                self._report("step_failed", stage, message=reason, failure=kind, trace=traceback.format_exc())
                return Failure(kind, reason, f"{stage.name} {stage.label}")

    def _halve_batch_size(self, stage: Stage) -> bool:
        size = self._batch_size(stage) // 2
        if size < 1:
            return False
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.batch_sizes[stage.cost_kind] = size
        self._report("warning", stage, message=f"out of memory; trying again with a batch size of {size}")
        return True

    def _batch_size(self, stage: Stage) -> int:
        """Return the batch size of a step: what fits into free memory, or less where memory has run out before."""
        free = free_memory(self.device) if stage.bytes_per_image else None
        fitting = BATCH_SIZE if free is None else int(MEMORY_SHARE * free) // cast(int, stage.bytes_per_image)
        return max(1, min(BATCH_SIZE, fitting, self.batch_sizes.get(stage.cost_kind, BATCH_SIZE)))

    def _read_batch_sizes(self) -> None:
        """Read the reduced batch sizes of earlier runs on this device type from the store."""
        for timing in self.store.timings():
            if (size := timing.get("halved_to")) and timing.get("device") == self.device.type:
                kind = (str(timing["stage"]), str(timing["work"]), str(timing["options"]))
                self.batch_sizes[kind] = min(cast(int, size), self.batch_sizes.get(kind, BATCH_SIZE))

    def _execute(self, stage: Stage) -> None:
        started, records, warnings = time.perf_counter(), dict[str, Any](), list[str]()
        batch_size = self._batch_size(stage)
        reset_peak(self.device)
        with (
            self.store.checkpoints(stage.key) as folder,
            _seed_torch(stage.noise(self.device), self.device),
            exact_float32(),
        ):
            resumed = note_threads(folder, torch.get_num_threads()) if stage.name.startswith("fit") else []
            ctx = Context(
                device=self.device,
                precision=stage.network_precision,
                noise=stage.noise(self.device),
                batch_size=batch_size,
                progress=self._progress(stage, started),
                record=lambda name, value: records.update(
                    {name: check_record(name, value, cast(Component, stage.main_component))}
                ),
                checkpoints=folder,
                component=stage.method,
                key=stage.key,
                warn=lambda message: self._report("warning", stage, message=message),
                distrust=warnings.append,
            )
            outcome = _add_records(stage.run(self.store.get, ctx), records)
            if warnings:
                self._report("warning", stage, message=f"{stage.method}: {'; '.join(warnings)}")
                outcome = outcome._replace(summary={**outcome.summary, WARNINGS: cast(Json, warnings)})
            self._store_outcome(stage, outcome, time.perf_counter() - started, batch_size, resumed)

    def _store_outcome(
        self, stage: Stage, outcome: Outcome, seconds: float, batch_size: int, resumed: list[int]
    ) -> None:
        """Store an outcome with its cost and environment; `resumed` are other numbers of threads of its training."""
        cost: dict[str, Json] = {
            "seconds": round(seconds, 4),
            "units": stage.units,
            "peak_memory": peak_memory(self.device),
            "batch_size": batch_size,
        }
        execution: dict[str, Json] = {**environment(self.device), "versions": dict(self.versions)}
        if resumed:
            execution["earlier_threads"] = resumed
        meta = {"recipe": stage.full_recipe, "label": stage.label, "environment": execution, **cost}
        size = self.store.put(Artifact(stage.key, outcome.tensors, outcome.summary, meta))
        method, options, device = stage.method, stage.options_digest, self.device.type
        kind = {"stage": stage.name, "work": method, "options": options, "device": device}
        halved = {"halved_to": self.batch_sizes.get(stage.cost_kind)}
        self.store.append_timing({**kind, **cost, **halved, "bytes": size})
        self._report("step_done", stage, seconds=seconds)

    def _progress(self, stage: Stage, started: float) -> Callable[[int, int], None]:
        def progress(done: int, total: int) -> None:
            seconds = time.perf_counter() - started
            if self.step_timeout is not None and seconds > self.step_timeout:
                limit = option_name("step-timeout")
                raise StepTimeout(f"it ran longer than {self.step_timeout:g} s; raise {limit}")
            self._report("step_progress", stage, done, total, seconds=seconds)

        return progress

    def _report(self, event: EventKind, stage: Stage, done: int = 0, total: int = 0, **details: Any) -> None:
        self.emit(Event(event, stage.name, stage.label, stage.key, done, total, **details))


def _add_records(outcome: Outcome, records: dict[str, Any]) -> Outcome:
    """Return the outcome with the records of its step: images among the tensors, curves in the summary."""
    images = {f"{RECORD_PREFIX}{name}": value for name, value in records.items() if isinstance(value, Tensor)}
    curves = {name: value for name, value in records.items() if not isinstance(value, Tensor)}
    summary = {**outcome.summary, "record": curves} if curves else outcome.summary
    return Outcome({**outcome.tensors, **images}, summary)


@contextmanager
def _seed_torch(noise: Noise, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators for the block, as initializers and dropout use them, and restore them after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if len(noise.ids) == 1:
            torch.manual_seed(noise.generator("global").initial_seed())
        yield
