"""`retbench plan`: what would run, what is stored, what is skipped and why, and what it will cost."""

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
def plan(suite: str, store: Path, as_json: bool, **how: Any) -> None:
    """Show what running a SUITE would do, without doing it."""
    from retbench.study import opening

    overview = opening.open(suite, store=store, **how).plan()
    click.echo(json.dumps(overview.record()) if as_json else str(overview))
