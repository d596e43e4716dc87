"""`retbench gc`: remove what no suite run in this store names any more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import click

from retbench.cli.options import json_option, store_option


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@store_option
@json_option
def gc(store: Path, dry_run: bool, as_json: bool) -> None:
    """Remove artifacts that the last run of no suite names; refused while a run uses the store."""
    from retbench.store import Store

    opened = Store(store)
    with opened.alone():
        named = {key for run in opened.runs().values() for key in cast(list[Any], run.get("keys", []))}
        loose = sorted(opened.keys() - named)
        freed = sum(opened.size(key) for key in loose)
        if not dry_run:
            opened.sweep()
            opened.drop_checkpoints(named)
            for key in loose:
                opened.discard(key)
    if as_json:
        click.echo(json.dumps({"artifacts": len(loose), "bytes": freed, "removed": not dry_run}))
        return
    verb = "would remove" if dry_run else "removed"
    click.echo(
        f"{verb} {len(loose)} artifacts, {freed / 1e6:.1f} MB; kept {len(named & opened.keys())} that suites name"
    )
