"""`retbench weights`: the published weight files that a suite starts from, fetched before a run and checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from retbench.cli.options import json_option, suite_options, unused_store_option

if TYPE_CHECKING:
    from retbench.contracts import Weights


@click.group()
def weights() -> None:
    """List and fetch the published weights that a suite starts from."""


@weights.command("list")
@click.argument("suite")
@suite_options
@unused_store_option
@json_option
def list_weights(suite: str, as_json: bool, **how: Any) -> None:
    """List the weight files of a SUITE: ready, missing or damaged, and under what terms they are published."""
    from tabulate import tabulate

    found = _named(suite, how)
    if as_json:
        click.echo(json.dumps([_record(file, owner) for file, owner in found.items()]))
        return
    rows = [(file.file, file.problem() or "ready", owner, file.license) for file, owner in found.items()]
    click.echo(tabulate(rows, ("file", "state", "for", "terms"), "simple", disable_numparse=True, maxcolwidths=60))
    if not rows:
        click.echo("the cells that can be asked start from no published weights")


@weights.command("prepare")
@click.argument("suite")
@suite_options
@click.option("--yes", is_flag=True, help="Fetch without asking.")
@unused_store_option
def prepare(suite: str, yes: bool, **how: Any) -> None:
    """Fetch the weight files of a SUITE that are missing, after asking, and check their sha256."""
    for file, owner in _named(suite, how).items():
        if file.problem() is None:
            click.echo(f"{file.path}: ready")
            continue
        if not file.sha256:
            click.echo(f"{file.file}, for {owner}: {file.problem()}; terms: {file.license}; {file.manual_steps}")
            continue
        click.echo(f"{file.file}, for {owner}: from {file.url}; terms: {file.license}")
        if yes or click.confirm(f"fetch it to {file.path}?"):
            _fetch(file)
            click.echo(f"{file.path}: ready")
        else:
            click.echo(f"{file.path}: not fetched; cells that need it are skipped")


def _named(suite: str, how: dict[str, Any]) -> dict[Weights, str]:
    """Return the weight files of a suite's cells, each with a component that starts from it.

    The cells of a dataset that is not on disk are left out, and said so: what they need is not known.
    """
    from dataclasses import replace

    from retbench.catalog.local import local_catalog
    from retbench.plan import Screening
    from retbench.suite import expand, find_suite, read_selection, read_suite

    screening, found, unread = Screening(), dict[Any, str](), set[str]()
    catalog = local_catalog(how["plugins"])
    for cell in expand(read_suite(find_suite(suite), how["profile"], how["set"]), catalog, read_selection(how["only"])):
        if screening.missing(cell.dataset):
            unread.add(cell.dataset.name)
            continue
        facts = replace(cell.dataset.facts(), bits=cell.bits, task=cell.task, threat=cell.threat)
        found.update(screening.downloads(cell, facts))
    for name in sorted(unread):
        click.echo(f"dataset {name} is not on disk: what its cells start from is not known yet; get it first", err=True)
    return found


def _record(file: Weights, owner: str) -> dict[str, Any]:
    return {**file._asdict(), "path": str(file.path), "problem": file.problem(), "for": owner}


def _fetch(file: Weights) -> None:
    """Fetch a file beside its place and moves it there once its digest is the published one; raises UserError."""
    from http.client import HTTPException

    from torch.hub import download_url_to_file

    from retbench.errors import UserError

    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        download_url_to_file(file.url, str(file.path), hash_prefix=file.sha256)
    except (OSError, HTTPException, RuntimeError) as error:
        raise UserError(f"weights {file.file}: it could not be fetched: {error}; put it at {file.path}") from None
