"""Show the progress of a run: bars on a terminal or in a notebook, lines elsewhere; and log its events to a file."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from retbench.contracts import Event
from retbench.execute import EventHandler, Forecaster
from retbench.plan import Plan
from retbench.store.files import convert_write_errors

if TYPE_CHECKING:
    from retbench.study.study import Study


@contextlib.contextmanager
def show_progress(study: Study, progress: bool = True) -> Iterator[EventHandler]:
    """Yield a handler that shows the events of a run on standard error, or ignores them without `progress`."""
    if not progress:
        yield lambda event: None
    elif _can_draw_bars():
        with ProgressBars(study.planned, Forecaster(study.store, study.device.type)) as bars:
            yield bars
    else:
        yield LinePrinter(study.planned)


def _can_draw_bars() -> bool:
    """Return whether rich can draw bars: on a terminal, or in a notebook that has ipywidgets."""
    return find_spec("ipywidgets") is not None if Console().is_jupyter else sys.stderr.isatty()


class LinePrinter:
    """Prints a line on standard error for each step that ran or failed, and for each warning."""

    def __init__(self, plan: Plan) -> None:
        self.total, self.finished = len(plan.steps), 0

    def __call__(self, event: Event) -> None:
        """Print the line of an event, if it has one."""
        if event.event in ("step_done", "step_failed", "step_hit"):
            self.finished += 1
        if text := describe_event(event):
            print(f"[{self.finished}/{self.total}] {text}", file=sys.stderr, flush=True)


class ProgressBars:
    """Shows two bars: one for the plan, with the remaining time, and one for the running step.

    Args:
        plan: the plan of the run.
        forecaster: predicts the time of each step; steps of an unknown kind are weighted by the steps that have run.
    """

    def __init__(self, plan: Plan, forecaster: Forecaster) -> None:
        self.plan, self.forecaster = plan, forecaster
        self.weights = {key: _weight(forecaster.expected_seconds(stage)) for key, stage in plan.steps.items()}
        self.console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )
        self.plan_bar = self.progress.add_task("plan", total=sum(self.weights.values()), note="")
        self.step_bar = self.progress.add_task("", total=None, note="", visible=False)
        self.started, self.finished_weight, self.finished = time.monotonic(), 0.0, 0

    def __enter__(self) -> ProgressBars:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def __call__(self, event: Event) -> None:
        """Move the bars, and print the line of an event, if it has one."""
        if event.event == "step_started":
            self.progress.reset(self.step_bar, description=event.stage, total=None, note=event.label, visible=True)
        elif event.event == "step_progress":
            remaining = event.seconds / max(event.done, 1) * (event.total - event.done)
            note = f"{event.label}, about {format_duration(remaining)} left"
            self.progress.update(self.step_bar, completed=event.done, total=event.total, note=note)
        elif event.event in ("step_done", "step_failed", "step_hit"):
            self._advance(event)
        if text := describe_event(event):
            self.progress.console.print(text, markup=False, highlight=False)

    def _advance(self, event: Event) -> None:
        weight = self.weights.get(event.key, 0.0)
        self.finished += 1
        if event.event != "step_hit":
            self.finished_weight += weight
        self.progress.update(self.plan_bar, advance=weight)
        remaining = sum(self.weights.values()) - (self.progress.tasks[0].completed or 0.0)
        elapsed = time.monotonic() - self.started
        eta = ""
        if self.finished_weight:
            eta = f", about {format_duration(elapsed / self.finished_weight * remaining)} left"
        self.progress.update(self.plan_bar, note=f"{self.finished}/{len(self.plan.steps)} steps{eta}")


class LogFile:
    """Appends all events except progress within a step, with tracebacks, to a file in the store.

    Args:
        root: the folder of the store.
        name: the name of the run.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.path = root, log_path(root, name)
        with convert_write_errors(root):
            self.path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, event: Event) -> None:
        """Append an event to the file."""
        if event.event != "step_progress":
            with convert_write_errors(self.root), open(self.path, "a", encoding="utf-8") as stream:
                stream.write(f"{time.strftime('%H:%M:%S')} {json.dumps(event.record())}\n{event.trace}")


def log_path(root: Path, name: str) -> Path:
    """Return the log file of a run in the folder of a store."""
    return root / "logs" / f"{name}.log"


def describe_event(event: Event) -> str:
    """Return the line to print for an event; empty for events that print nothing."""
    if event.event == "step_done":
        return f"{event.stage} {event.label}: {format_duration(event.seconds)}"
    if event.event == "step_failed":
        return f"FAILED {event.stage} {event.label}: {event.failure}: {event.message}"
    if event.event == "warning":
        return f"warning: {event.stage} {event.label}: {event.message}".replace("warning:  : ", "warning: ")
    return ""


def format_duration(seconds: float) -> str:
    """Return a duration in readable units: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _weight(seconds: float | None) -> float:
    return max(seconds, 0.01) if seconds is not None else 1.0
