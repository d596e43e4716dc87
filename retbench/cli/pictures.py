"""`retbench pictures`: what trainings recorded, as files to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from retbench.cli.options import json_option, store_option, suite_options


@click.command()
@click.argument("suite", required=False)
@suite_options
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder that the pictures go to."
)
@store_option
@json_option
def pictures(suite: str | None, store: Path, out: Path, as_json: bool, **how: Any) -> None:
    """Write what the trainings of a SUITE recorded: losses as curves, images as they are; by default of the last run.

    A file is called after the stage, the component and its data, the step's key, and what was recorded.
    """
    from retbench.errors import UserError
    from retbench.study import opening
    from retbench.study.recordings import write_recordings

    study = opening.open(suite, store=store, **how)
    if not any(study.store.has(key) for key in study.planned.steps):
        name = study.loaded.path
        raise UserError(
            f"pictures: no stored results for {study.run_name} in {store}; run it first: retbench run {name}"
        )
    written = write_recordings(study, out, lambda line: click.echo(f"pictures: {line}", err=True))
    if as_json:
        click.echo(json.dumps([str(path) for path in written]))
        return
    for path in written:
        click.echo(f"wrote {path}")
    if not written:
        click.echo(f"pictures: no stored step of {study.run_name} recorded anything that can be drawn")
