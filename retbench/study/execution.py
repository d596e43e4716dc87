"""Running a study: what is not stored is executed, logged and remembered."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from retbench.contracts import Event
from retbench.execute import Broadcast, LocalExecutor, RunResult, Watcher
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
        KeyboardInterrupt: passed on; finished steps stay.
    """
    started = time.perf_counter() if started is None else started
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
