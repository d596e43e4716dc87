"""`retbench run`: execute what is not stored yet."""

from __future__ import annotations

import json
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
    from retbench.execute import Failure, Watcher
    from retbench.study.execution import Execution
    from retbench.study.study import Study


@click.command()
@click.argument("suite")
@suite_options
@click.option("--step-timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds that one step may take.")
@store_option
@json_option
def run(suite: str, store: Path, as_json: bool, step_timeout: float | None, **how: Any) -> int:
    """Run a SUITE, a path or the name of a shipped one: start it, resume it, or find that all is there."""
    started = time.perf_counter()
    from retbench.study import opening
    from retbench.study.execution import execute

    study = opening.open(suite, store=store, **how)
    try:
        with _watch(study, as_json) as watcher:
            ended = execute(study, watcher, step_timeout, started)
    except KeyboardInterrupt:
        click.echo("interrupted: finished steps are kept; run the same command again to resume", err=True)
        sys.exit(130)
    _print_end(study, ended)
    return 1 if ended.result.failures else 0


@contextmanager
def _watch(study: Study, as_json: bool) -> Iterator[Watcher]:
    """Lend a watcher that suits standard output and standard error."""
    from retbench.study.progress import watch

    if as_json:
        yield _print_event
    else:
        with watch(study) as watcher:
            yield watcher


def _print_event(event: Event) -> None:
    click.echo(json.dumps(event.record()))


def _print_end(study: Study, ended: Execution) -> None:
    from retbench.study.progress import duration

    suite, cells, end = study.loaded.suite.suite, study.planned.cells, ended.end
    click.echo(
        f"{suite}: {len(cells)} cells; {end.executed} steps run, {end.stored} already stored, "
        f"{end.skipped} cells skipped, {end.failed} failed, in {duration(end.seconds)}",
        err=True,
    )
    for reason in dict.fromkeys(planned.reason for planned in cells if planned.reason):
        names = [planned.cell.name for planned in cells if planned.reason == reason]
        click.echo(f"skipped {len(names)} cells ({names[0]}, ...): {reason}", err=True)
    if ended.result.failures:
        _print_failures(study, ended.result.failures)
    else:
        click.echo(f"see the tables: retbench report --store {study.store.root}", err=True)


def _print_failures(study: Study, failures: Mapping[str, Failure]) -> None:
    from tabulate import tabulate

    failed = [(cell.cell.name, failures[cell.key]) for cell in study.planned.cells if cell.key and cell.key in failures]
    rows = [(name, str(failure.kind), failure.culprit, failure.reason) for name, failure in failed]
    headers = ("failed cell", "class", "step", "reason")
    click.echo(tabulate(rows, headers, "simple", disable_numparse=True, maxcolwidths=[None, None, 40, 70]), err=True)
    click.echo(f"tracebacks: {study.log}", err=True)
