"""`retbench pictures`: write the curves and images recorded during trainings as PNG files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from retbench.cli.options import json_option, store_option, suite_options


@click.command()
@click.argument("suite", required=False)
@suite_options
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the pictures.")
@store_option
@json_option
def pictures(suite: str | None, store: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Draw the losses and images recorded in a SUITE's trainings.

    Each curve and image becomes a PNG file, named after its stage, component, dataset, step and recording. SUITE is by
    default the last suite run in the store.
    """
    from retbench.errors import UserError
    from retbench.study import opening
    from retbench.study.recordings import write_recordings
    from retbench.study.reports import advise_to_run, describe_missing_results

    study = opening.open(suite, store=store, **options)
    if not any(study.store.has(key) for key in study.planned.steps):
        raise UserError(f"{describe_missing_results('pictures', study)}: {advise_to_run(study)}")
    paths = write_recordings(study, out, lambda line: click.echo(f"pictures: {line}", err=True))
    if as_json:
        click.echo(json.dumps([str(path) for path in paths]))
        return
    for path in paths:
        click.echo(f"wrote {path}")
    if not paths:
        click.echo(f"pictures: no stored step of {study.run_name} recorded a curve or an image")
