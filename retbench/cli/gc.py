"""`retbench gc`: remove the artifacts that no recorded run of the store uses."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import click

from retbench.cli.options import json_option, store_option


@click.command()
@click.option(
    "--dry-run", is_flag=True, help="Remove nothing; print what would be removed, and the recorded runs made in Python."
)
@click.option(
    "--forget",
    multiple=True,
    metavar="NAME",
    help="First forget a recorded run, or all runs that match a pattern such as 'evaluate-*'. Repeatable.",
)
@store_option
@json_option
def gc(store: Path, dry_run: bool, forget: tuple[str, ...], as_json: bool) -> None:
    """Remove the artifacts that no recorded run uses.

    This is refused while a run uses the store. The store records the last run of each suite, and every call of
    `retbench.evaluate` under its own name. `--dry-run` lists the runs made in Python with their age. `--forget NAME`
    removes the record and the log of a run, and the artifacts that only this run uses.
    """
    from retbench.store import Store
    from retbench.study.history import find_runs, forget_run, list_runs

    opened = Store(store)
    with nullcontext() if dry_run else opened.exclusive():
        forgotten = find_runs(opened, forget)
        runs = [run for run in list_runs(opened) if run.name not in forgotten]
        used = {key for run in runs for key in run.keys}
        unused = sorted(opened.keys() - used)
        freed = sum(opened.size(key) for key in unused)
        if not dry_run:
            for name in forgotten:  # before their artifacts, so that no record names a removed artifact
                forget_run(opened, name)
            opened.remove_leftovers()
            opened.remove_checkpoints(used)
            for key in unused:
                opened.discard(key)
    python_runs = [run for run in runs if run.made_in_python] if dry_run else []
    if as_json:
        record = {"artifacts": len(unused), "bytes": freed, "removed": not dry_run, "forgotten": forgotten}
        listed = [{"name": run.name, "days": run.days, "bytes": run.size} for run in python_runs]
        click.echo(json.dumps({**record, "made_in_python": listed} if dry_run else record))
        return
    for name in forgotten:
        click.echo(f"{'would forget' if dry_run else 'forgot'} {name}")
    verb, kept = "would remove" if dry_run else "removed", len(used & opened.keys())
    click.echo(f"{verb} {len(unused)} artifacts, {freed / 1e6:.1f} MB; kept {kept} that recorded runs use")
    if python_runs:
        click.echo("recorded runs made in Python (--forget NAME forgets one):")
    for run in python_runs:
        click.echo(f"  {run.name}: {run.days} days old, {run.size / 1e6:.1f} MB that no other run uses")
