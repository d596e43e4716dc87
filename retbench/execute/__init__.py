"""Runs a plan, tells what happens, and keeps every finished step."""

from retbench.execute.device import pick_device, resolve_precision
from retbench.execute.events import Broadcast, Watcher
from retbench.execute.failure import Failure, FailureKind
from retbench.execute.forecast import Forecast, Rates
from retbench.execute.local import LocalExecutor, RunResult

__all__ = [
    "Broadcast",
    "Failure",
    "FailureKind",
    "Forecast",
    "LocalExecutor",
    "Rates",
    "RunResult",
    "Watcher",
    "pick_device",
    "resolve_precision",
]
