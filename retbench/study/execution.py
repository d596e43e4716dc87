"""Run a study: execute the steps that are not stored, log them, and record the run in the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from retbench.catalog.local import compute_code
from retbench.contracts import Component, Event
from retbench.contracts.dataset import forget_fingerprints, identify_dataset
from retbench.errors import UserError
from retbench.execute import EventDispatcher, EventHandler, LocalExecutor, RunResult
from retbench.plan import Plan
from retbench.stages import DrawTargets
from retbench.stages.recipe import component_of
from retbench.study.progress import LogFile
from retbench.study.runs.history import finish_record, start_record

if TYPE_CHECKING:
    from retbench.study.study import Study


class FinishedRun(NamedTuple):
    """A finished run.

    Attributes:
        result: the executed, stored and failed steps.
        totals: the event `finished`, with the totals of the run.
    """

    result: RunResult
    totals: Event


def execute(
    study: Study, handler: EventHandler, step_timeout: float | None = None, started: float | None = None
) -> FinishedRun:
    """Execute the steps of a study that are not stored, and record the run in the store.

    Args:
        study: the study to run.
        handler: receives every event; the log file and the plugins receive them too.
        step_timeout: limit in seconds for one step; None for no limit.
        started: `time.perf_counter()` at the start of the run; by default now.

    Raises:
        StoreUnwritable: the store cannot be written.
        UserError: the source of a local component changed after the study was planned.
        KeyboardInterrupt: on Ctrl-C; finished steps stay stored.
    """
    started = time.perf_counter() if started is None else started
    _check_sources(study.planned)
    emit = EventDispatcher([handler, LogFile(study.store.root, study.identity.stem)], study.catalog)
    executor = LocalExecutor(study.store, study.device, emit, step_timeout, study.versions)
    with study.store.in_use():  # no artifact may vanish between the record, which keeps it, and the steps that use it
        execution = start_record(study)
        result = executor.run(study.planned)
        seconds = time.perf_counter() - started
        finish_record(study, execution, result.failures, seconds)
    totals = Event(
        "finished",
        seconds=round(seconds, 3),
        executed=result.executed,
        stored=result.stored,
        skipped=sum(cell.key is None for cell in study.planned.cells),
        failed=sum(cell.key in result.failures for cell in study.planned.cells),
    )
    emit(totals)
    return FinishedRun(result, totals)


def _check_sources(plan: Plan) -> None:
    """Raise UserError if the source of a local component, or a dataset, changed after the plan was made.

    Functions are looked up when they are called, so results of the changed source would get the keys of the old one.
    """
    forget_fingerprints()
    current: dict[type[Component], str] = {}

    def check(component: Component, planned: str, identify: Callable[[str], str] = str) -> None:
        kind = type(component)
        code = current[kind] if kind in current else current.setdefault(kind, compute_code(kind))
        if identify(code) != planned:
            raise UserError(
                f"{kind.__name__}: its source changed after the study was planned: got the digest {code[:8]}, expected "
                "the digest in the plan; open the study again"
            )

    for step in plan.steps.values():
        if step.main_component is not None and (code := component_of(step.full_recipe).get("code")):
            check(step.main_component, code)
        elif isinstance(step, DrawTargets):  # every cell of a dataset has this step
            planned = cast(str, step.full_recipe["dataset"])
            if step.dataset.code:
                check(step.dataset, planned, partial(identify_dataset, step.dataset))
            if identify_dataset(step.dataset) != planned:
                raise UserError(
                    f"dataset {step.dataset.name}: its files changed after the study was planned; open the study again"
                )
