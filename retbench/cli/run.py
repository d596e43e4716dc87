"""`retbench run`: execute what is not stored yet."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retbench.cli.options import json_option, store_option, suite_options

if TYPE_CHECKING:
    from retbench.cli.session import Session
    from retbench.contracts import Event
    from retbench.execute import Failure, Watcher


@click.command()
@click.argument("suite")
@suite_options
@click.option("--step-timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds that one step may take.")
@store_option
@json_option
def run(suite: str, store: Path, as_json: bool, step_timeout: float | None, **how: Any) -> int:
    """Run a SUITE, a path or the name of a shipped one: start it, resume it, or find that all is there."""
    from retbench.cli.session import Request, open_session

    started = time.perf_counter()
    session = open_session(Request(suite, **how), store)
    return 1 if _execute(session, as_json, step_timeout, started) else 0


def _execute(session: Session, as_json: bool, step_timeout: float | None, started: float) -> Mapping[str, Failure]:
    """Runs the plan before the watchers' eyes, remembers it, says how it ended, and returns what failed."""
    from retbench.cli.progress import LogFile
    from retbench.contracts import Event
    from retbench.execute import Broadcast, LocalExecutor

    log = LogFile(session.store.root, session.run_name)
    with _watcher(session, as_json) as watcher:
        tell = Broadcast([watcher, log], session.catalog)
        executor = LocalExecutor(session.store, session.device, tell, step_timeout, session.versions)
        session.remember({}, 0.0)
        try:
            result = executor.run(session.plan)
        except KeyboardInterrupt:
            click.echo("interrupted: finished steps are kept; run the same command again to resume", err=True)
            sys.exit(130)
        seconds = time.perf_counter() - started
        session.remember(result.failures, seconds)
        skipped = sum(planned.key is None for planned in session.plan.cells)
        failed = sum(planned.key in result.failures for planned in session.plan.cells)
        end = Event(
            "finished",
            seconds=round(seconds, 3),
            executed=result.executed,
            stored=result.stored,
            skipped=skipped,
            failed=failed,
        )
        tell(end)
    _tell_end(session, result.failures, end, log.path)
    return result.failures


@contextlib.contextmanager
def _watcher(session: Session, as_json: bool) -> Iterator[Watcher]:
    """Lends the watcher that suits standard output and standard error."""
    from retbench.cli.progress import Bars, JsonLines, PlainLines
    from retbench.execute import Rates

    if as_json:
        yield JsonLines()
    elif sys.stderr.isatty():
        with Bars(session.plan, Rates(session.store, session.device.type)) as bars:
            yield bars
    else:
        yield PlainLines(session.plan)


def _tell_end(session: Session, failures: Mapping[str, Failure], end: Event, log: Path) -> None:
    from retbench.cli.progress import duration

    suite = session.loaded.suite.suite
    cells = len(session.plan.cells)
    click.echo(
        f"{suite}: {cells} cells; {end.executed} steps run, {end.stored} already stored, "
        f"{end.skipped} cells skipped, {end.failed} failed, in {duration(end.seconds)}",
        err=True,
    )
    for reason in dict.fromkeys(planned.reason for planned in session.plan.cells if planned.reason):
        names = [planned.cell.name for planned in session.plan.cells if planned.reason == reason]
        click.echo(f"skipped {len(names)} cells ({names[0]}, ...): {reason}", err=True)
    if failures:
        _tell_failures(session, failures, log)
    else:
        click.echo(f"see the tables: retbench report --store {session.store.root}", err=True)


def _tell_failures(session: Session, failures: Mapping[str, Failure], log: Path) -> None:
    from tabulate import tabulate

    failed = [(cell.cell.name, failures[cell.key]) for cell in session.plan.cells if cell.key and cell.key in failures]
    rows = [(name, str(failure.kind), failure.culprit, failure.reason) for name, failure in failed]
    headers = ("failed cell", "class", "step", "reason")
    click.echo(tabulate(rows, headers, "simple", disable_numparse=True, maxcolwidths=[None, None, 40, 70]), err=True)
    click.echo(f"tracebacks: {log}", err=True)
