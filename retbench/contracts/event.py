"""Progress events of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from retbench.canon import Json

EventKind = Literal[
    "run_started", "step_started", "step_progress", "step_hit", "step_done", "step_failed", "warning", "finished"
]


@dataclass(frozen=True)
class Event:
    """One progress event of a run, sent to the console, the log file and the plugins that observe events.

    Attributes:
        event: the kind of event.
        stage: the stage of the step; empty for an event of the whole run.
        label: the readable label of the step; empty for an event of the whole run.
        key: the key of the step; empty for an event of the whole run.
        done: finished units of the step for `step_progress`, else finished steps of the plan.
        total: all units of the step for `step_progress`, else all steps of the plan.
        seconds: time that the step, or the run, has taken so far.
        message: text for the user, such as a warning or the reason of a failure.
        failure: the failure class of a failed step.
        trace: the traceback of a failed step.
        executed: for `finished`, the number of steps that were executed.
        stored: for `finished`, the number of steps that were already stored.
        skipped: for `finished`, the number of skipped cells.
        failed: for `finished`, the number of failed cells.
    """

    event: EventKind
    stage: str = ""
    label: str = ""
    key: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    message: str = ""
    failure: str = ""
    trace: str = ""
    executed: int | None = None
    stored: int | None = None
    skipped: int | None = None
    failed: int | None = None

    def record(self) -> dict[str, Json]:
        """Return the event as a JSON mapping, without empty strings and None."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None) or name == "event"}
