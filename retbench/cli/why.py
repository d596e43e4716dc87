"""`retbench why`: show the status and the steps of a cell, and what changed since its last result."""

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
def why(cell: str, suite: str | None, store: Path, as_json: bool, **options: Any) -> None:
    """Explain a CELL of a SUITE, for example digits/dpsh/dhta/retpur.

    Prints whether the cell is stored, to run, skipped or failed, the option or recipe field that changed since its
    last result, and its steps. CELL is the name of a cell, or some of its parts that together match only this cell.
    SUITE is by default the last suite run in the store.
    """
    from retbench.study import opening
    from retbench.study.explanation import explain, find_cell

    study = opening.open(suite, store=store, **options)
    explanation = explain(study, find_cell(study, cell))
    if as_json:
        click.echo(json.dumps(explanation))
        return
    reason = f": {explanation['reason']}" if explanation["reason"] else ""
    click.echo(f"{explanation['cell']}: {explanation['status']}{reason}")
    if explanation["note"]:
        click.echo(f"note: {explanation['note']}")
    if explanation["changes"]:
        click.echo("changed since the last result:")
    for change in explanation["changes"]:
        click.echo(
            f"  {change['stage']} {change['label']}: {change['field']}: "
            f"was {change['before']!r}, is {change['after']!r}"
        )
    if explanation["steps"]:
        click.echo("steps:")
    for step in explanation["steps"]:
        click.echo(f"  {'stored' if step['stored'] else 'to run'}  {step['key'][:12]}  {step['stage']} {step['label']}")
