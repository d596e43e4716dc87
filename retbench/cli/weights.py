"""`retbench weights`: list and download the published weights that a suite needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from retbench.cli.group import CommandGroup
from retbench.cli.options import json_option, suite_options, unused_store_option

if TYPE_CHECKING:
    from retbench.contracts import Weights


NOTHING_NEEDED = "no cell whose dataset is on disk needs published weights"


@click.group(cls=CommandGroup)
def weights() -> None:
    """List and download the published weights that a suite needs."""


@weights.command("list")
@click.argument("suite")
@suite_options
@unused_store_option
@json_option
def list_weights(suite: str, as_json: bool, **options: Any) -> None:
    """List the weight files of a SUITE, their state and license."""
    from tabulate import tabulate

    files = _find_weights(suite, options)
    if as_json:
        click.echo(json.dumps([_record(file, component) for file, component in files.items()]))
        return
    rows = [(file.file, file.problem() or "ready", component, file.license) for file, component in files.items()]
    headers = ("file", "state", "for", "license")
    table = tabulate(rows, headers, "simple", disable_numparse=True, maxcolwidths=60) if rows else NOTHING_NEEDED
    click.echo(table)


@weights.command("prepare")
@click.argument("suite")
@suite_options
@click.option("--yes", is_flag=True, help="Download without confirmation.")
@unused_store_option
def prepare(suite: str, yes: bool, **options: Any) -> None:
    """Download the missing weight files of a SUITE.

    Each download needs a confirmation, and the sha256 of each file is checked.
    """
    files = _find_weights(suite, options)
    if not files:
        click.echo(NOTHING_NEEDED)
    for file, component in files.items():
        if file.problem() is None:
            click.echo(f"{file.path}: ready")
            continue
        if not file.sha256:
            click.echo(f"{file.file} for {component}: {file.problem()}; license: {file.license}; {file.manual_steps}")
            continue
        click.echo(f"{file.file} for {component}: from {file.url}; license: {file.license}")
        if yes or click.confirm(f"download it to {file.path}?"):
            _download(file)
            click.echo(f"{file.path}: ready")
        else:
            click.echo(f"{file.path}: not downloaded; cells that need it are skipped")


def _find_weights(suite: str, options: dict[str, Any]) -> dict[Weights, str]:
    """Return the weight files of a suite's cells, each with a component that needs it.

    The cells of a dataset that is not on disk are left out with a message, because their weights are unknown.
    """
    from dataclasses import replace

    from retbench.catalog.local import local_catalog
    from retbench.plan import Screening
    from retbench.suite import expand, find_suite, read_selection, read_suite

    screening, files, missing = Screening(), dict[Any, str](), set[str]()
    catalog = local_catalog(options["plugins"])
    loaded = read_suite(find_suite(suite), options["profile"], options["set"])
    for cell in expand(loaded, catalog, read_selection(options["only"])):
        if screening.missing(cell.dataset):
            missing.add(cell.dataset.name)
            continue
        facts = replace(cell.dataset.facts(), bits=cell.bits, task=cell.task, threat=cell.threat)
        files.update(screening.downloads(cell, facts))
    for name in sorted(missing):
        click.echo(
            f"dataset {name} is not on disk: the weights that its cells need are not known yet; "
            f"get the dataset first (`retbench datasets check {name}`)",
            err=True,
        )
    return files


def _record(file: Weights, component: str) -> dict[str, Any]:
    return {**file._asdict(), "path": str(file.path), "problem": file.problem(), "for": component}


def _download(file: Weights) -> None:
    """Download a file and move it into place if its digest is the published one; raises UserError."""
    from http.client import HTTPException

    from torch.hub import download_url_to_file

    from retbench.errors import UserError

    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        download_url_to_file(file.url, str(file.path), hash_prefix=file.sha256)
    except (OSError, HTTPException, RuntimeError) as error:
        raise UserError(
            f"weights {file.file}: download failed: {error}; download the file yourself and put it at {file.path}"
        ) from None
