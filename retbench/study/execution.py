"""Run a study: execute the steps that are not stored, log them, and record the run in the store."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
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
        UserError: the source of a local component, or a dataset, changed after the study was planned; or a dataset
            changed during the run, whose results are then removed.
        KeyboardInterrupt: on Ctrl-C; finished steps stay stored.
    """
    started = time.perf_counter() if started is None else started
    _check_sources(study.planned)
    emit = EventDispatcher([handler, LogFile(study.store.root, study.identity.stem)], study.catalog)
    executor = LocalExecutor(study.store, study.device, emit, step_timeout, study.versions)
    with study.store.in_use():  # no artifact may vanish between the record, which keeps it, and the steps that use it
        execution = start_record(study)
        earlier = {key for key in study.planned.steps if study.store.has(key)}
        try:
            result = executor.run(study.planned)
        except BaseException:  # such as Ctrl-C
            if problem := _remove_results_of_changed_datasets(study, earlier):
                emit(Event("warning", message=problem))
            raise
        problem = _remove_results_of_changed_datasets(study, earlier)
        seconds = time.perf_counter() - started
        finish_record(study, execution, result.failures, seconds)
    if problem:
        raise UserError(problem)
    totals = Event(
        "finished",
        seconds=round(seconds, 3),
        executed=result.executed,
        stored=result.stored,
        skipped=sum(cell.key is None and not cell.failed for cell in study.planned.cells),
        failed=sum(cell.failed or cell.key in result.failures for cell in study.planned.cells),
    )
    emit(totals)
    return FinishedRun(result, totals)


def _check_sources(plan: Plan) -> None:
    """Raise UserError if the source of a local component, or a dataset, changed after the plan was made.

    Functions are looked up when they are called, so results of the changed source would get the keys of the old one.
    """
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
        elif isinstance(step, DrawTargets) and step.dataset.code:  # every cell of a dataset has this step
            check(step.dataset, cast(str, step.full_recipe["dataset"]), partial(identify_dataset, step.dataset))
    for name in _find_changed_datasets(plan).values():
        raise UserError(f"dataset {name}: its files changed after the study was planned; open the study again")


def _find_changed_datasets(plan: Plan) -> dict[str, str]:
    """Return the names of the datasets whose files are not as planned, by planned identity.

    Only files that were touched are read. A file that was changed and restored is not noticed.
    """
    forget_fingerprints()
    changed: dict[str, str] = {}
    for step in plan.steps.values():
        if isinstance(step, DrawTargets):
            planned = cast(str, step.full_recipe["dataset"])
            try:
                same = identify_dataset(step.dataset) == planned
            except Exception:  # a file that is gone, for which a plugin may raise anything
                same = False
            if not same:
                changed[planned] = step.dataset.name
    return changed


def _remove_results_of_changed_datasets(study: Study, earlier: Collection[str]) -> str | None:
    """Remove the results of this run that depend on a dataset which changed during it.

    Args:
        study: the study.
        earlier: the keys that were in the store before the run.

    Returns:
        What was removed, and what to do; None if nothing changed.
    """
    changed, sources, removed = _find_changed_datasets(study.planned), dict[str, set[str]](), Counter[str]()
    for key, step in study.planned.steps.items() if changed else ():
        sources[key] = {str(step.full_recipe.get("dataset"))}.union(*(sources[each] for each in step.inputs))
        for identity in sources[key] & changed.keys():
            removed[changed[identity]] += 0
            if key not in earlier and study.store.has(key):
                study.store.discard(key)
                removed[changed[identity]] += 1
    if not removed:
        return None
    names = ", ".join(f"{name} ({count} steps)" for name, count in removed.items())
    return f"files changed during the run, so its results were removed: dataset {names}; run it again"
