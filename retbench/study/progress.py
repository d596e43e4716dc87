"""Show a run while it lasts: bars on a terminal and in a notebook, plain lines elsewhere, and a log for later."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from retbench.contracts import Event
from retbench.execute import Rates, Watcher
from retbench.plan import Plan
from retbench.store.files import writing

if TYPE_CHECKING:
    from retbench.study.study import Study


@contextlib.contextmanager
def watch(study: Study, progress: bool = True) -> Iterator[Watcher]:
    """Lend a watcher for the run of a study that suits standard error; a silent one without `progress`."""
    if not progress:
        yield lambda event: None
    elif sys.stderr.isatty() or Console().is_jupyter:
        with Bars(study.planned, Rates(study.store, study.device.type)) as bars:
            yield bars
    else:
        yield PlainLines(study.planned)


class PlainLines:
    """Prints a line for each step that ran or failed, on standard error."""

    def __init__(self, plan: Plan) -> None:
        self.total, self.done = len(plan.steps), 0

    def __call__(self, event: Event) -> None:
        if event.event in ("step_done", "step_failed", "step_hit"):
            self.done += 1
        if text := describe_event(event):
            print(f"[{self.done}/{self.total}] {text}", file=sys.stderr, flush=True)


class Bars:
    """Shows two bars on a terminal: the plan's, with the time that is left, and the running step's.

    Args:
        plan: what will run.
        rates: what steps of each kind have cost before; while a kind is unknown the rest is estimated from what ran.
    """

    def __init__(self, plan: Plan, rates: Rates) -> None:
        self.plan, self.rates = plan, rates
        self.weights = {key: _weight(rates.seconds(stage)) for key, stage in plan.steps.items()}
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
        self.whole = self.progress.add_task("plan", total=sum(self.weights.values()), note="")
        self.step = self.progress.add_task("", total=None, note="", visible=False)
        self.started, self.spent_weight, self.finished = time.monotonic(), 0.0, 0

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def __call__(self, event: Event) -> None:
        if event.event == "step_started":
            self.progress.reset(self.step, description=event.stage, total=None, note=event.label, visible=True)
        elif event.event == "step_progress":
            left = event.seconds / max(event.done, 1) * (event.total - event.done)
            note = f"{event.label}, about {duration(left)} left"
            self.progress.update(self.step, completed=event.done, total=event.total, note=note)
        elif event.event in ("step_done", "step_failed", "step_hit"):
            self._advance(event)
        if text := describe_event(event):
            self.progress.console.print(text, markup=False, highlight=False)

    def _advance(self, event: Event) -> None:
        weight = self.weights.get(event.key, 0.0)
        self.finished += 1
        if event.event != "step_hit":
            self.spent_weight += weight
        self.progress.update(self.whole, advance=weight)
        left = sum(self.weights.values()) - (self.progress.tasks[0].completed or 0.0)
        spent = time.monotonic() - self.started
        eta = f", about {duration(spent / self.spent_weight * left)} left" if self.spent_weight else ""
        self.progress.update(self.whole, note=f"{self.finished}/{len(self.plan.steps)} steps{eta}")


class LogFile:
    """Appends every event but progress to a file in the store, tracebacks included.

    Args:
        root: the store's folder.
        name: the run's name.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.path = root, log_path(root, name)
        with writing(root):
            self.path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, event: Event) -> None:
        if event.event != "step_progress":
            with writing(self.root), open(self.path, "a", encoding="utf-8") as stream:
                stream.write(f"{time.strftime('%H:%M:%S')} {json.dumps(event.record())}\n{event.trace}")


def log_path(root: Path, name: str) -> Path:
    """Return the file in the folder of a store that the runs of a name are logged in."""
    return root / "logs" / f"{name}.log"


def describe_event(event: Event) -> str:
    """Return the line that is printed for an event; empty for most."""
    if event.event == "step_done":
        return f"{event.stage} {event.label}: {duration(event.seconds)}"
    if event.event == "step_failed":
        return f"FAILED {event.stage} {event.label}: {event.failure}: {event.message}"
    if event.event == "warning":
        return f"warning: {event.stage} {event.label}: {event.message}".replace("warning:  : ", "warning: ")
    return ""


def duration(seconds: float) -> str:
    """Return seconds in units that are easy to read: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _weight(seconds: float | None) -> float:
    return max(seconds, 0.01) if seconds is not None else 1.0
