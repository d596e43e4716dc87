"""`retbench why`: what a cell is made of, and what changed since it was last computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from retbench.cli.options import json_option, store_option, suite_options


@click.command()
@click.argument("cell")
@click.argument("suite", required=False)
@suite_options
@store_option
@json_option
def why(cell: str, suite: str | None, store: Path, as_json: bool, **how: Any) -> None:
    """Explain a CELL, such as digits/dpsh/dhta/retpur: stored, to run, skipped or failed, and which field changed.

    CELL is a cell's name, or those pieces of it that no other cell has; without a SUITE it is one of the last run's.
    """
    from retbench.study import opening
    from retbench.study.explanation import explain, find_cell

    study = opening.open(suite, store=store, **how)
    found = explain(study, find_cell(study, cell))
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(f"{found['cell']}: {found['status']}{': ' + found['reason'] if found['reason'] else ''}")
    for change in found["changes"]:
        click.echo(
            f"  {change['stage']} {change['label']}: {change['field']}: "
            f"was {change['before']!r}, is {change['after']!r}"
        )
    for step in found["steps"]:
        click.echo(f"  {'stored' if step['stored'] else 'to run'}  {step['key'][:12]}  {step['stage']} {step['label']}")
