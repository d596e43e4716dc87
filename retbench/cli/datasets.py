"""`retbench datasets`: which datasets there are and where, whether one is whole, and making one ready."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from retbench.cli.options import json_option, unused_store_option

if TYPE_CHECKING:
    from retbench.contracts import Dataset
    from retbench.survey import Finding, Survey


@click.group()
def datasets() -> None:
    """List datasets, check one, prepare one."""


@datasets.command("list")
@unused_store_option
@json_option
def list_datasets(as_json: bool) -> None:
    """List every dataset: ready or missing, where it is looked for, how many rows its splits have."""
    from tabulate import tabulate

    from retbench.catalog import load_catalog
    from retbench.contracts.facts import SPLITS

    entries = load_catalog().entries()
    record = [describe(entry.component) for (kind, _), entry in entries.items() if kind == "dataset"]
    if as_json:
        click.echo(json.dumps(record))
        return
    rows = [
        (one["name"], one["state"], one["root"] or "generated", *(one["sizes"].get(split, "") for split in SPLITS))
        for one in record
    ]
    click.echo(tabulate(rows, ("name", "state", "where", *SPLITS), "simple"))
    if any(one["state"] != "ready" for one in record):
        click.echo("\nwhat is missing, and how to get it: retbench datasets check NAME")


@datasets.command("check")
@click.argument("name")
@click.option("--set", "sets", multiple=True, metavar="OPTION=VALUE", help="Change one option of the dataset.")
@click.option("--no-images", is_flag=True, help="Look at ids and labels only, and read no image and no text.")
@unused_store_option
@json_option
def check(name: str, sets: tuple[str, ...], no_images: bool, as_json: bool) -> None:
    """Check the dataset NAME: sizes, classes, ids, labels, and that every image and text can be read.

    Exit code 1 if something makes its numbers wrong (an `error` below), else 0.
    """
    from retbench.errors import UserError
    from retbench.survey import Finding, read_texts, survey

    dataset = make_dataset(name, sets)
    missing, found, findings = None, None, list[Finding]()
    try:
        if (missing := dataset.missing()) is not None:
            findings.append(Finding("error", missing))
        found = survey(dataset)
        if missing is None and not no_images:
            findings += [*read_texts(dataset), *_broken_images(dataset)]
        findings += found.findings
    except UserError as error:
        if missing is None:  # else it has been said already what is not there
            findings.append(Finding("error", str(error)))
    if as_json:
        click.echo(json.dumps(_record(name, found, findings)))
    else:
        _print(found, findings)
    if any(finding.level == "error" for finding in findings):
        raise click.exceptions.Exit(1)


@datasets.command("prepare")
@click.argument("name")
@click.option("--set", "sets", multiple=True, metavar="OPTION=VALUE", help="Change one option of the dataset.")
@unused_store_option
def prepare(name: str, sets: tuple[str, ...]) -> None:
    """Make the dataset NAME ready from what is on disk; what is still missing is said, and the exit code is 1."""
    dataset = make_dataset(name, sets)
    done = False
    for line in dataset.prepare():
        click.echo(line)
        done = True
    if (missing := dataset.missing()) is not None:
        click.echo(missing, err=True)
        raise click.exceptions.Exit(1)
    click.echo(f"{name}: ready" if done else f"{name}: ready; there was nothing to prepare")


def make_dataset(name: str, sets: Sequence[str]) -> Dataset:
    """Return the dataset of a name with the options of `option=value` texts; raises UserError."""
    from retbench.catalog import load_catalog
    from retbench.contracts import Dataset
    from retbench.document import parse_assignment

    options = dict(parse_assignment(assignment, "option=value") for assignment in sets)
    base: type[Any] = Dataset
    made: Dataset = load_catalog().create(base, name, options)
    return made


def describe(component: type[Any]) -> dict[str, Any]:
    """Return a dataset with its default options as JSON: state (ready, missing, broken), folder, sizes, reason."""
    from retbench.errors import UserError

    record: dict[str, Any] = {"name": component.name, "state": "ready", "root": None, "sizes": {}, "why": None}
    try:
        dataset = component.create()
        record["root"] = None if dataset.root is None else str(dataset.root)
        record["why"] = dataset.missing()
        if record["why"] is None:
            record["sizes"] = dict(dataset.facts().sizes)
        else:
            record["state"] = "missing"
    except UserError as error:
        record.update(state="broken", why=str(error))
    return record


def _broken_images(dataset: Dataset) -> list[Finding]:
    from rich.console import Console
    from rich.progress import Progress

    from retbench.survey import count_images, read_images

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading images", total=count_images(dataset))
        return list(read_images(dataset, lambda count: progress.advance(task, count)))


def _record(name: str, found: Survey | None, findings: Sequence[Finding]) -> dict[str, Any]:
    record: dict[str, Any] = {"dataset": name, "findings": [finding._asdict() for finding in findings]}
    if found is not None:
        splits = {split: _json_safe(numbers._asdict()) for split, numbers in found.splits.items()}
        chances = _json_safe({"chance": found.chance, "target_chance": found.target_chance})
        record.update(classes=found.classes, splits=splits, **chances)
    return record


def _json_safe(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with null for each NaN, the mean of nothing, which JSON does not have."""
    return {name: None if value != value else value for name, value in record.items()}


def _print(found: Survey | None, findings: Sequence[Finding]) -> None:
    from tabulate import tabulate

    if found is not None:
        columns = ("rows", "distinct_ids", "distinct_labels", "unlabeled", "mean_labels")
        numbers = found.splits.items()
        rows = [(split, *(getattr(one, column) for column in columns)) for split, one in numbers]
        heads = ("split", "rows", "images", "label vectors", "no label", "labels a row")
        click.echo(tabulate(rows, heads, "simple", floatfmt=".2f"))
        counts = [(name, *(one.class_counts[at] for _, one in numbers)) for at, name in enumerate(found.classes)]
        click.echo("\n" + tabulate(counts, ("class", *found.splits), "simple"))
        click.echo(f"\nMAP of a random ranking: {found.chance:.3f}")
        click.echo(f"T-MAP of a random ranking, targets uniform over label vectors: {found.target_chance:.3f}")
    for finding in findings:
        click.echo(f"{finding.level}: {finding.text}")
    if not findings:
        click.echo("nothing to report")
