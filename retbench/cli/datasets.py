"""`retbench datasets`: list datasets, check one, and prepare one from the files on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from retbench.cli.group import CommandGroup
from retbench.cli.options import json_option, unused_store_option

if TYPE_CHECKING:
    from retbench.contracts import Dataset
    from retbench.survey import Finding, Survey


@click.group(cls=CommandGroup)
def datasets() -> None:
    """List, check and prepare datasets."""


@datasets.command("list")
@unused_store_option
@json_option
def list_datasets(as_json: bool) -> None:
    """List all datasets, whether they are ready, and their sizes."""
    from tabulate import tabulate

    from retbench.catalog import load_catalog
    from retbench.contracts.facts import SPLITS

    entries = load_catalog().entries()
    records = [describe(entry.component) for (kind, _), entry in entries.items() if kind == "dataset"]
    if as_json:
        click.echo(json.dumps(records))
        return
    rows = [
        (
            record["name"],
            record["state"],
            record["root"] or "generated",
            *(record["sizes"].get(split, "") for split in SPLITS),
        )
        for record in records
    ]
    click.echo(tabulate(rows, ("name", "state", "folder", *SPLITS), "simple"))
    if any(record["state"] != "ready" for record in records):
        click.echo("\n`retbench datasets check NAME` shows what is missing and how to get it")


@datasets.command("check")
@click.argument("name")
@click.option(
    "--set", "sets", multiple=True, metavar="OPTION=VALUE", help="Change one option of the dataset. Repeatable."
)
@click.option("--no-images", is_flag=True, help="Check ids and labels only; read no images and texts.")
@unused_store_option
@json_option
def check(name: str, sets: tuple[str, ...], no_images: bool, as_json: bool) -> None:
    """Check the dataset NAME for errors.

    Prints sizes, classes and labels, and reads every image and text. Findings are notes, warnings and errors. The exit
    code is 1 if there are errors, which would make results wrong, else 0.
    """
    from retbench.errors import UserError
    from retbench.survey import Finding, read_texts, survey

    dataset = make_dataset(name, sets)
    missing, result, findings = None, None, list[Finding]()
    try:
        if (missing := dataset.missing()) is not None:
            findings.append(Finding("error", missing))
        result = survey(dataset)
        if missing is None and not no_images:
            findings += [*read_texts(dataset), *_find_broken_images(dataset)]
        findings += result.findings
    except UserError as error:
        if missing is None:  # otherwise the missing files are already a finding
            findings.append(Finding("error", str(error)))
    if as_json:
        click.echo(json.dumps(_record(name, result, findings)))
    else:
        _print(result, findings)
    if any(finding.level == "error" for finding in findings):
        raise click.exceptions.Exit(1)


@datasets.command("prepare")
@click.argument("name")
@click.option(
    "--set", "sets", multiple=True, metavar="OPTION=VALUE", help="Change one option of the dataset. Repeatable."
)
@unused_store_option
def prepare(name: str, sets: tuple[str, ...]) -> None:
    """Prepare the dataset NAME from the files on disk.

    If files are missing, the steps to get them are printed and the exit code is 1.
    """
    dataset = make_dataset(name, sets)
    changed = False
    for line in dataset.prepare():
        click.echo(line)
        changed = True
    if (missing := dataset.missing()) is not None:
        click.echo(missing, err=True)
        raise click.exceptions.Exit(1)
    click.echo(f"{name}: ready" if changed else f"{name}: ready; nothing to prepare")


def make_dataset(name: str, sets: Sequence[str]) -> Dataset:
    """Return the dataset of this name with the options in `option=value` texts; raises UserError."""
    from retbench.catalog import load_catalog
    from retbench.contracts import Dataset
    from retbench.document import parse_assignment
    from retbench.errors import UnknownName

    options = dict(parse_assignment(assignment, "option=value") for assignment in sets)
    base: type[Any] = Dataset
    try:
        dataset: Dataset = load_catalog().create(base, name, options)
    except UnknownName as error:
        command = click.get_current_context().info_name
        raise UnknownName(f"datasets {command}", error.name, error.choices) from None
    return dataset


def describe(component: type[Any]) -> dict[str, Any]:
    """Return JSON about a dataset with default options: state (ready, missing, broken), folder, sizes and reason."""
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


def _find_broken_images(dataset: Dataset) -> list[Finding]:
    from rich.console import Console
    from rich.progress import Progress

    from retbench.survey import count_images, read_images

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading images", total=count_images(dataset))
        return list(read_images(dataset, lambda count: progress.advance(task, count)))


def _record(name: str, result: Survey | None, findings: Sequence[Finding]) -> dict[str, Any]:
    record: dict[str, Any] = {"dataset": name, "findings": [finding._asdict() for finding in findings]}
    if result is not None:
        splits = {split: _without_nan(numbers._asdict()) for split, numbers in result.splits.items()}
        chances = _without_nan({"chance": result.chance, "target_chance": result.target_chance})
        record.update(classes=result.classes, splits=splits, **chances)
    return record


def _without_nan(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with None for each NaN (the mean of no rows), because JSON has no NaN."""
    return {name: None if value != value else value for name, value in record.items()}


def _print(result: Survey | None, findings: Sequence[Finding]) -> None:
    from tabulate import tabulate

    if result is not None:
        columns = ("rows", "distinct_ids", "distinct_labels", "unlabeled", "mean_labels")
        rows = [(name, *(getattr(split, column) for column in columns)) for name, split in result.splits.items()]
        headers = ("split", "rows", "images", "label vectors", "without label", "labels per row")
        click.echo(tabulate(rows, headers, "simple", floatfmt=".2f"))
        counts = [
            (name, *(split.class_counts[index] for split in result.splits.values()))
            for index, name in enumerate(result.classes)
        ]
        click.echo("\n" + tabulate(counts, ("class", *result.splits), "simple"))
        click.echo(f"\nMAP of a random ranking: {result.chance:.3f}")
        click.echo(f"T-MAP of a random ranking, targets drawn uniformly from label vectors: {result.target_chance:.3f}")
    for finding in findings:
        click.echo(f"{finding.level}: {finding.text}")
    if not findings:
        click.echo("no problems found")
