"""Run a plan, report progress as events, and store every finished step."""

from retbench.execute.device import pick_device, resolve_precision
from retbench.execute.events import EventDispatcher, EventHandler
from retbench.execute.failure import Failure, FailureKind
from retbench.execute.forecast import Forecast, Forecaster
from retbench.execute.local import LocalExecutor, RunResult

__all__ = [
    "EventDispatcher",
    "EventHandler",
    "Failure",
    "FailureKind",
    "Forecast",
    "Forecaster",
    "LocalExecutor",
    "RunResult",
    "pick_device",
    "resolve_precision",
]
