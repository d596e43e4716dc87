"""Running a study: what is not stored is executed, logged and remembered."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from retbench.catalog.local import compute_code
from retbench.contracts import Component, Event
from retbench.contracts.dataset import identify_dataset
from retbench.errors import UserError
from retbench.execute import Broadcast, LocalExecutor, RunResult, Watcher
from retbench.plan import Plan
from retbench.stages import DrawTargets
from retbench.stages.recipe import component_of
from retbench.study.history import record_run
from retbench.study.progress import LogFile

if TYPE_CHECKING:
    from retbench.study.study import Study


class Execution(NamedTuple):
    """How a run ended.

    Attributes:
        result: what was executed and stored, and what failed.
        end: the last event, with the totals.
    """

    result: RunResult
    end: Event


def execute(
    study: Study, watcher: Watcher, step_timeout: float | None = None, started: float | None = None
) -> Execution:
    """Execute what a study has not stored yet, and record the run in the store.

    Args:
        study: what is run.
        watcher: sees every event, as do the log file and the plugins.
        step_timeout: seconds that one step may take.
        started: `time.perf_counter()` when the run began; now without.

    Raises:
        StoreUnwritable: the store cannot be written.
        UserError: the source of a local component is another one than when the study was planned.
        KeyboardInterrupt: passed on; finished steps stay.
    """
    started = time.perf_counter() if started is None else started
    _check_sources(study.planned)
    tell = Broadcast([watcher, LogFile(study.store.root, study.run_name)], study.catalog)
    executor = LocalExecutor(study.store, study.device, tell, step_timeout, study.versions)
    record_run(study, {}, 0.0)
    result = executor.run(study.planned)
    seconds = time.perf_counter() - started
    record_run(study, result.failures, seconds)
    end = Event(
        "finished",
        seconds=round(seconds, 3),
        executed=result.executed,
        stored=result.stored,
        skipped=sum(cell.key is None for cell in study.planned.cells),
        failed=sum(cell.key in result.failures for cell in study.planned.cells),
    )
    tell(end)
    return Execution(result, end)


def _check_sources(plan: Plan) -> None:
    """Raise UserError where the source of a local component is not the one that the keys of a plan stand for.

    A helper is looked up when it is called, so a changed one would leave its results under the keys of the old one.
    """
    fresh: dict[type[Component], str] = {}

    def check(component: Component, planned: str, describe: Callable[[str], str] = str) -> None:
        kind = type(component)
        code = fresh[kind] if kind in fresh else fresh.setdefault(kind, compute_code(kind))
        if describe(code) != planned:
            raise UserError(
                f"{kind.__name__}: its source changed since the study was planned: got the digest {code[:8]}, expected "
                "that of the plan; open the study again"
            )

    for step in plan.steps.values():
        if step.culprit is not None and (code := component_of(step.full_recipe).get("code")):
            check(step.culprit, code)
        elif isinstance(step, DrawTargets) and step.dataset.code:  # every cell of a dataset has this step
            check(step.dataset, cast(str, step.full_recipe["dataset"]), partial(identify_dataset, step.dataset))
