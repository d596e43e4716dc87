"""`retbench gc`: remove the artifacts that no recorded run of the store uses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retbench.cli.options import json_option, store_option

if TYPE_CHECKING:
    from retbench.study.runs.cleanup import Cleanup


@click.command()
@click.option("--dry-run", is_flag=True, help="Remove nothing; print what would be removed.")
@click.option(
    "--forget",
    multiple=True,
    metavar="NAME",
    help="First forget a recorded run, or all runs that match a pattern such as 'evaluate-*'. Repeatable.",
)
@click.option("--yes", is_flag=True, help="Do not ask on a terminal; also empty a store that has no recorded run.")
@store_option
@json_option
def gc(store: Path, dry_run: bool, forget: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Remove the artifacts that no recorded run uses.

    Prints the recorded runs and what would be removed; on a terminal, it asks before it removes. The store records the
    last run of each suite file with the same profile, --set, --plugin, precision and folder of datasets (a run with
    --only adds to it), and every call of `retbench.evaluate` with other arguments. A record outlives its suite's file:
    `--forget NAME` removes the record and the log of a run, and the artifacts that only this run uses.

    Nothing is removed while a run uses the store, or if the record of a run cannot be read.
    """
    from retbench.errors import UserError
    from retbench.store import Store
    from retbench.study.runs.cleanup import clean_up, plan_cleanup

    opened = Store(store)
    if dry_run:
        planned = plan_cleanup(opened, forget)
        _print_json(planned, removed=False) if as_json else _print_plan(planned, dry_run=True)
        return
    with opened.exclusive():
        planned = plan_cleanup(opened, forget)
    interactive = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    if planned.empties and not yes and not interactive:
        raise UserError(
            f"store {store}: no run is recorded in it, so that all {len(planned.unused)} artifacts would be removed; "
            "run your suites again to keep what they use, or confirm with --yes"
        )
    if not as_json:
        _print_plan(planned, dry_run=False)
    if interactive and not yes and (planned.unused or planned.fits or planned.forgotten):
        warning = " (no run is recorded in this store: all its artifacts)" if planned.empties else ""
        if not click.confirm(f"remove this{warning}?"):
            click.echo("removed nothing")
            return
    with opened.exclusive():
        removed = clean_up(opened, planned)
    if as_json:
        _print_json(removed, removed=True)
        return
    for name in removed.forgotten.values():
        click.echo(f"forgot {name}")
    click.echo(f"removed {_describe(removed)}")


def _print_plan(planned: Cleanup, *, dry_run: bool) -> None:
    """Print the runs that are kept, those to forget, and what no run uses, by stage."""
    from retbench.study.runs.cleanup import format_name

    if planned.runs:
        click.echo("recorded runs (--forget NAME forgets one):")
    for run in planned.runs:
        source = run.suite or "made in Python"
        gone = ", which is gone" if run.file_is_gone else ""
        changes = "".join(f", {text}" for text in (run.label.removeprefix(run.name).strip(),) if text)
        click.echo(
            f"  {format_name(planned.runs, run)}: {source}{gone}{changes}, {run.days} days old, "
            f"{run.size / 1e6:.1f} MB that no other run uses"
        )
    if planned.unused or planned.fits:
        click.echo("artifacts that no recorded run uses:")
    for stage, sizes in planned.stages.items():
        click.echo(f"  {stage}: {len(sizes)} artifacts, {sum(sizes) / 1e6:.1f} MB")
    if planned.fits:
        click.echo(f"  checkpoints of {len(planned.fits)} unfinished fits, {sum(planned.fits.values()) / 1e6:.1f} MB")
    if dry_run:
        for name in planned.forgotten.values():
            click.echo(f"would forget {name}")
        click.echo(f"would remove {_describe(planned)}")


def _describe(cleanup: Cleanup) -> str:
    return f"{len(cleanup.unused)} artifacts, {cleanup.size / 1e6:.1f} MB; kept {cleanup.kept} that recorded runs use"


def _print_json(cleanup: Cleanup, *, removed: bool) -> None:
    runs: list[dict[str, Any]] = [
        {
            "name": run.name,
            "record": run.stem,
            "suite": run.suite,
            "file_is_gone": run.file_is_gone,
            "days": run.days,
            "bytes": run.size,
        }
        for run in cleanup.runs
    ]
    stages = {stage: {"artifacts": len(sizes), "bytes": sum(sizes)} for stage, sizes in cleanup.stages.items()}
    record = {
        "artifacts": len(cleanup.unused),
        "bytes": cleanup.size,
        "removed": removed,
        "forgotten": list(cleanup.forgotten.values()),
        "runs": runs,
        "stages": stages,
        "unfinished_fits": len(cleanup.fits),
    }
    click.echo(json.dumps(record))
