"""`retbench report`: the tables of a suite, from what a store or bundles hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retbench.cli.options import json_option, store_option, suite_options

if TYPE_CHECKING:
    from retbench.report import Report

FORMATS = ("console", "markdown", "latex", "html", "csv", "json")


@click.command()
@click.argument("what", nargs=-1, metavar="[SUITE | BUNDLE.zip ...]")
@suite_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write DIR/<suite>.md, .html, .tex, .csv, .json and pictures instead of printing.",
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="What to print; by default for people, else Markdown."
)
@click.option("--against", metavar="CLAIMS", help="Put published numbers beside: retpur, saat, or a YAML file.")
@click.option("--uniform", is_flag=True, help="Refuse tables that mix devices, precisions or versions.")
@click.option(
    "--pictures/--no-pictures", default=True, help="Draw pictures and the gallery where there is room for them."
)
@store_option
@json_option
def report(
    what: tuple[str, ...],
    store: Path,
    out: Path | None,
    form: str | None,
    against: str | None,
    uniform: bool,
    pictures: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Print or write the tables of a SUITE, or of BUNDLEs that others exported; by default of the last suite run."""
    import sys

    from retbench.report import write_report
    from retbench.study.opening import open_source
    from retbench.study.reports import format_report, make_report

    if out is not None and (form or as_json):
        raise click.UsageError("--out writes every format: it does not go with --format or --json")
    source = open_source(what, store, how)
    form = "json" if as_json else form or ("console" if sys.stdout.isatty() else "markdown")
    drawn = pictures and (out is not None or form == "html")
    made = make_report(source, against, uniform=uniform, pictures=drawn)
    if out is not None:
        for path in write_report(made, out, source.name):
            click.echo(f"wrote {path}")
    elif form == "console":
        _show(made)
    else:
        click.echo(format_report(made, form))


def _show(made: Report) -> None:
    from rich.console import Console

    from retbench.report.render import console_table, curve_hint

    screen = Console()
    screen.print(made.title, style="bold", markup=False, highlight=False)
    screen.print(f"{made.description}\n", markup=False, highlight=False)
    for table in made.tables:
        screen.print(console_table(table), "")
        if line := curve_hint(table):
            screen.print(f"{line}\n", markup=False, highlight=False)
    for label, text in made.provenance:
        screen.print(f"{label}: {text}", markup=False, highlight=False)
