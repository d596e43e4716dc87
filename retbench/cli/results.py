"""`retbench results`: the rows of a suite, for people and machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from retbench.cli.options import json_option, store_option, suite_options


@click.command()
@click.argument("suite", required=False)
@suite_options
@store_option
@json_option
def results(suite: str | None, store: Path, as_json: bool, **how: Any) -> None:
    """List the numbers of a SUITE; by default of the last one run in this store."""
    from tabulate import tabulate

    from retbench.cli.session import Request, open_session
    from retbench.report.render import percent

    rows = open_session(Request(suite, **how), store).rows()
    if as_json:
        click.echo(json.dumps([row.record() for row in rows]))
        return
    names = dict.fromkeys(name for row in rows for name in row.metrics)
    axes = ("dataset", "hasher", "bits", "task", "attack", "defense", "variant", "threat", "seed", "status")
    table = [
        [*(str(getattr(row, axis)) for axis in axes), *(percent(row.metrics.get(name)) for name in names)]
        for row in rows
    ]
    headers = (*axes, *names)
    click.echo(tabulate(table, headers, "simple", disable_numparse=True))
