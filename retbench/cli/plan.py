"""`retbench plan`: show what a run would do, and what it would cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from retbench.cli.options import json_option, store_option, suite_options


@click.command()
@click.argument("suite")
@suite_options
@store_option
@json_option
def plan(suite: str, store: Path, as_json: bool, **options: Any) -> int:
    """Show what a run of a SUITE would do, without running it.

    Prints the steps to run and the stored ones, the reasons of skipped cells, and a forecast of time, memory and disk.
    Cells of a dataset with errors, such as queries that are also in its database, fail: the exit code is then 1.
    """
    from retbench.study import opening

    summary = opening.open(suite, store=store, **options).plan()
    click.echo(json.dumps(summary.record()) if as_json else str(summary))
    return 1 if any(cell.status == "failed" for cell in summary.cells) else 0
