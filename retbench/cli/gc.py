"""`retbench gc`: remove what no run remembered in this store names any more."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import click

from retbench.cli.options import json_option, store_option


@click.command()
@click.option("--dry-run", is_flag=True, help="Remove nothing; print what would go, and the runs made in Python.")
@click.option(
    "--forget",
    multiple=True,
    metavar="NAME",
    help="Forget a remembered run first, or all that a pattern such as 'evaluate-*' fits.",
)
@store_option
@json_option
def gc(store: Path, dry_run: bool, forget: tuple[str, ...], as_json: bool) -> None:
    """Remove artifacts that no remembered run names; refused while a run uses the store.

    The last run of each suite is remembered, and every call of `retbench.evaluate` under a name of its own, so that
    experiments in a notebook add up: `--dry-run` lists them with their age, and `--forget NAME` removes the record and
    the log of one, with the artifacts that only it names.
    """
    from retbench.store import Store
    from retbench.study.history import find_runs, forget_run, remembered_runs

    opened = Store(store)
    with nullcontext() if dry_run else opened.alone():
        forgotten = find_runs(opened, forget)
        runs = [run for run in remembered_runs(opened) if run.name not in forgotten]
        named = {key for run in runs for key in run.keys}
        loose = sorted(opened.keys() - named)
        freed = sum(opened.size(key) for key in loose)
        if not dry_run:
            for name in forgotten:  # before their artifacts, so that no record names what is gone
                forget_run(opened, name)
            opened.sweep()
            opened.drop_checkpoints(named)
            for key in loose:
                opened.discard(key)
    made = [run for run in runs if run.in_python] if dry_run else []
    if as_json:
        record = {"artifacts": len(loose), "bytes": freed, "removed": not dry_run, "forgotten": forgotten}
        listed = [{"name": run.name, "days": run.days, "bytes": run.size} for run in made]
        click.echo(json.dumps({**record, "made_in_python": listed} if dry_run else record))
        return
    for name in forgotten:
        click.echo(f"{'would forget' if dry_run else 'forgot'} {name}")
    verb, kept = "would remove" if dry_run else "removed", len(named & opened.keys())
    click.echo(f"{verb} {len(loose)} artifacts, {freed / 1e6:.1f} MB; kept {kept} that remembered runs name")
    if made:
        click.echo("remembered runs that were made in Python (--forget NAME removes one):")
    for run in made:
        click.echo(f"  {run.name}, {run.days} days old, {run.size / 1e6:.1f} MB that no other run names")
