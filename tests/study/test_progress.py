"""How a run is shown."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from retbench.contracts import Event
from retbench.execute import LocalExecutor, Rates
from retbench.store import Store
from retbench.study.progress import Bars, LogFile, describe_event, duration, log_path
from tests.test_lineage import planned


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
def test_seconds_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_progress_inside_a_step_is_not_a_line() -> None:
    assert describe_event(Event("step_progress", "attack", "dhta", done=1, total=2)) == ""


def test_a_failure_is_told_with_its_class() -> None:
    event = Event("step_failed", "attack", "dhta on dpsh", message="NaN", failure="invalid")
    assert describe_event(event) == "FAILED attack dhta on dpsh: invalid: NaN"


def test_a_warning_about_the_run_names_no_step() -> None:
    assert describe_event(Event("warning", message="an observer is off")) == "warning: an observer is off"


def test_the_bars_end_full_and_tell_the_time_left(tmp_path: Path) -> None:
    plan, store = planned(), Store(tmp_path)
    bars = Bars(plan, Rates(store, "cpu"))
    bars.progress.live.console = Console(file=io.StringIO(), force_terminal=True, width=120)
    notes, step_notes = list[str](), list[str]()

    def watch(event: Event) -> None:
        bars(event)
        notes.append(bars.progress.tasks[0].fields["note"])
        step_notes.append(bars.progress.tasks[1].fields["note"])

    with bars:
        LocalExecutor(store, torch.device("cpu"), watch).run(plan)
    assert bars.progress.tasks[0].finished
    assert any("left" in note for note in notes)
    assert any("left" in note for note in step_notes)
    assert notes[-1].startswith(f"{len(plan.steps)}/{len(plan.steps)} steps")


def test_the_log_keeps_tracebacks_and_leaves_progress_out(tmp_path: Path) -> None:
    log = LogFile(tmp_path, "toy")
    log(Event("step_progress", "attack", "dhta"))
    log(Event("step_failed", "attack", "dhta", message="bug", trace="Traceback: here\n"))
    assert log_path(tmp_path, "toy") == tmp_path / "logs/toy.log"
    text = log_path(tmp_path, "toy").read_text()
    assert "step_progress" not in text
    assert text.endswith("Traceback: here\n")
