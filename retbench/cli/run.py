"""`retbench run`: run the steps of a suite that are not stored yet."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retbench.cli.options import json_option, store_option, suite_options

if TYPE_CHECKING:
    from retbench.contracts import Event
    from retbench.execute import EventHandler, Failure
    from retbench.study.execution import FinishedRun
    from retbench.study.study import Study


@click.command()
@click.argument("suite")
@suite_options
@click.option(
    "--step-timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Fail each step that takes longer.",
)
@store_option
@json_option
def run(suite: str, store: Path, as_json: bool, step_timeout: float | None, **options: Any) -> int:
    """Run a SUITE, the path of a file or the name of an included one.

    The same command starts a run, resumes it after an interruption, and does nothing once everything is stored.
    """
    started = time.perf_counter()
    from retbench.study import opening
    from retbench.study.execution import execute

    study = opening.open(suite, store=store, **options)
    try:
        with _show_events(study, as_json) as handler:
            finished = execute(study, handler, step_timeout, started)
    except KeyboardInterrupt:
        click.echo("interrupted: finished steps are stored; run the same command again to resume", err=True)
        sys.exit(130)
    _print_totals(study, finished)
    return 1 if finished.result.failures or finished.totals.failed else 0


@contextmanager
def _show_events(study: Study, as_json: bool) -> Iterator[EventHandler]:
    """Yield a handler that prints events: as JSON on standard output, or as progress on standard error."""
    from retbench.study.progress import show_progress

    if as_json:
        yield _print_event
    else:
        with show_progress(study) as handler:
            yield handler


def _print_event(event: Event) -> None:
    click.echo(json.dumps(event.record()))


def _print_totals(study: Study, finished: FinishedRun) -> None:
    from retbench.study.plan_summary import describe_unrunnable, find_status
    from retbench.study.progress import format_duration
    from retbench.study.store_path import default_store

    suite, cells, totals = study.loaded.suite.suite, study.planned.cells, finished.totals
    click.echo(
        f"{suite}: {len(cells)} cells: {totals.executed} steps run, {totals.stored} steps already stored; "
        f"{totals.skipped} cells skipped, {totals.failed} cells failed; {format_duration(totals.seconds)}",
        err=True,
    )
    for line in describe_unrunnable((find_status(each), each.cell.name, each.reason or "") for each in cells):
        click.echo(line, err=True)
    if finished.result.failures:
        _print_failures(study, finished.result.failures)
    if totals.failed:
        return
    root = study.store.root
    store = [] if root == default_store() else ["--store", str(root)]
    click.echo(f"show the tables: {shlex.join(['retbench', 'report', *store])}", err=True)


def _print_failures(study: Study, failures: Mapping[str, Failure]) -> None:
    from tabulate import tabulate

    failed = [(cell.cell.name, failures[cell.key]) for cell in study.planned.cells if cell.key and cell.key in failures]
    rows = [(name, str(failure.kind), failure.step, failure.reason) for name, failure in failed]
    headers = ("failed cell", "failure", "step", "reason")
    click.echo(tabulate(rows, headers, "simple", disable_numparse=True, maxcolwidths=[None, None, 40, 70]), err=True)
    click.echo(f"tracebacks: {study.log}", err=True)
