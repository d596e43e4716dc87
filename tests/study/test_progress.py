"""The progress and the log of a run."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from retbench.contracts import Event
from retbench.execute import EventHandler, Forecaster, LocalExecutor
from retbench.store import Store
from retbench.study.opening import open as open_suite
from retbench.study.progress import (
    LinePrinter,
    LogFile,
    ProgressBars,
    describe_event,
    format_duration,
    log_path,
    show_progress,
)
from retbench.study.study import Study
from tests.test_lineage import plan_toys


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (12.2, "12 s"),
        (65, "1 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_are_formatted_in_readable_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_progress_within_a_step_prints_no_line() -> None:
    assert describe_event(Event("step_progress", "attack", "dhta", done=1, total=2)) == ""


def test_a_failure_is_printed_with_its_kind() -> None:
    event = Event("step_failed", "attack", "dhta on dpsh", message="NaN", failure="invalid")
    assert describe_event(event) == "FAILED attack dhta on dpsh: invalid: NaN"


def test_a_warning_of_the_run_names_no_step() -> None:
    assert describe_event(Event("warning", message="an observer is off")) == "warning: an observer is off"


def test_the_bars_are_full_at_the_end_and_show_the_remaining_time(tmp_path: Path) -> None:
    plan, store = plan_toys(), Store(tmp_path)
    bars = ProgressBars(plan, Forecaster(store, "cpu"))
    bars.progress.live.console = Console(file=io.StringIO(), force_terminal=True, width=120)
    notes, step_notes = list[str](), list[str]()

    def handle(event: Event) -> None:
        bars(event)
        notes.append(bars.progress.tasks[0].fields["note"])
        step_notes.append(bars.progress.tasks[1].fields["note"])

    with bars:
        LocalExecutor(store, torch.device("cpu"), handle).run(plan)
    assert bars.progress.tasks[0].finished
    assert any("left" in note for note in notes)
    assert any("left" in note for note in step_notes)
    assert notes[-1].startswith(f"{len(plan.steps)}/{len(plan.steps)} steps")


def test_the_log_has_tracebacks_and_no_progress(tmp_path: Path) -> None:
    log = LogFile(tmp_path, "toy")
    log(Event("step_progress", "attack", "dhta"))
    log(Event("step_failed", "attack", "dhta", message="bug", trace="Traceback: here\n"))
    assert log_path(tmp_path, "toy") == tmp_path / "logs/toy.log"
    text = log_path(tmp_path, "toy").read_text()
    assert "step_progress" not in text
    assert text.endswith("Traceback: here\n")


def show(study: Study, monkeypatch: pytest.MonkeyPatch, *, widgets: bool) -> EventHandler:
    """Return the handler that shows the progress of a study in a notebook, with or without ipywidgets."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("retbench.study.progress.find_spec", lambda name: object() if widgets else None)
    monkeypatch.setattr(ProgressBars, "__enter__", lambda bars: bars)
    with show_progress(study) as handler:
        return handler


@pytest.mark.parametrize(("widgets", "kind"), [(True, ProgressBars), (False, LinePrinter)])
def test_a_notebook_shows_bars_only_if_it_has_ipywidgets(
    toys: Path, monkeypatch: pytest.MonkeyPatch, widgets: bool, kind: type
) -> None:
    assert isinstance(show(open_suite("toy.yaml"), monkeypatch, widgets=widgets), kind)
