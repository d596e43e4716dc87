"""`retbench report`: print or write the tables of a suite or of bundles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retbench.cli.options import json_option, store_option, suite_options

if TYPE_CHECKING:
    from retbench.report import Report

FORMATS = ("console", "markdown", "latex", "html", "csv", "json")


@click.command()
@click.argument("names", nargs=-1, metavar="[SUITE | BUNDLE.zip ...]")
@suite_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write DIR/SUITE.md, .html, .tex, .csv, .json and pictures instead of printing.",
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="Format to print; by default console, or markdown in a pipe."
)
@click.option("--against", metavar="NAME", help="Compare with published numbers: retpur, saat, or a YAML file.")
@click.option("--uniform", is_flag=True, help="Refuse tables that mix devices, precisions, versions or threads.")
@click.option(
    "--pictures/--no-pictures", default=True, help="Draw figures and the gallery, in the formats that show them."
)
@store_option
@json_option
def report(
    names: tuple[str, ...],
    store: Path,
    out: Path | None,
    form: str | None,
    against: str | None,
    uniform: bool,
    pictures: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Print the tables of a SUITE or of exported BUNDLEs.

    SUITE is by default the last suite run in the store. Several bundles are merged, unless their protocols differ.
    """
    import sys

    from retbench.report import write_report
    from retbench.study.opening import open_report_source
    from retbench.study.reports import format_report, make_report

    if out is not None and (form or as_json):
        raise click.UsageError("--out writes every format: remove --format or --json")
    source = open_report_source(names, store, options)
    form = "json" if as_json else form or ("console" if sys.stdout.isatty() else "markdown")
    with_pictures = pictures and (out is not None or form == "html")
    made = make_report(source, against, uniform=uniform, pictures=with_pictures)
    if out is not None:
        for path in write_report(made, out, source.name):
            click.echo(f"wrote {path}")
    elif form == "console":
        _print_to_console(made)
    else:
        click.echo(format_report(made, form))


def _print_to_console(made: Report) -> None:
    from rich.console import Console

    from retbench.report.render import console_table, curve_hint

    console = Console()
    console.print(made.title, style="bold", markup=False, highlight=False)
    console.print(f"{made.description}\n", markup=False, highlight=False)
    for table in made.tables:
        console.print(console_table(table), "")
        if line := curve_hint(table):
            console.print(f"{line}\n", markup=False, highlight=False)
    for label, text in made.provenance:
        console.print(f"{label}: {text}", markup=False, highlight=False)
