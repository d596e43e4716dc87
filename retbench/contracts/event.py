"""A fact about the progress of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from retbench.canon import Json

EventKind = Literal[
    "run_started", "step_started", "step_progress", "step_hit", "step_done", "step_failed", "warning", "finished"
]


@dataclass(frozen=True)
class Event:
    """Something that happened, told to consoles, log files and plugins.

    Attributes:
        event: what happened.
        stage, label, key: the step it is about; empty for an event about the run.
        done, total: for `step_progress` the units of the step; for the others the steps of the plan.
        seconds: how long the step, or the run, took so far.
        message: what a person should read: a failure's reason, a warning.
        failure, trace: the failure class and the traceback of a failed step.
        executed, stored, skipped, failed: the totals of `finished` (steps, steps, cells, cells).
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
        """Return the event as JSON, without the fields that say nothing."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None) or name == "event"}
