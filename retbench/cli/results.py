"""`retbench results`: the rows of a suite, for people and machines, and as a bundle to share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from retbench.cli.options import json_option, store_option, suite_options


class ListingGroup(click.Group):
    """A group whose first word is a suite to list, unless it is one of its commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = args and args[0] in {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, args if named else ["list", *args])


@click.group(cls=ListingGroup, no_args_is_help=False)
def results() -> None:
    """List the numbers of a suite, or export them.

    `retbench results SUITE` is short for `retbench results list SUITE`.
    """


@results.command("list")
@click.argument("suite", required=False)
@suite_options
@store_option
@json_option
def list_rows(suite: str | None, store: Path, as_json: bool, **how: Any) -> None:
    """List the numbers of a SUITE; by default of the last one run in this store."""
    from tabulate import tabulate

    from retbench.report.render import format_percent
    from retbench.results import ROW_AXES
    from retbench.study import opening

    rows = opening.open(suite, store=store, **how).rows()
    if as_json:
        click.echo(json.dumps([row.record() for row in rows]))
        return
    names = dict.fromkeys(name for row in rows for name in row.metrics)
    columns = (*ROW_AXES, "status")
    table = [
        [*(str(getattr(row, column)) for column in columns), *(format_percent(row.metrics.get(name)) for name in names)]
        for row in rows
    ]
    headers = (*columns, *names)
    click.echo(tabulate(table, headers, "simple", disable_numparse=True))


@results.command("export")
@click.argument("suite")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@suite_options
@store_option
@json_option
def export(suite: str, path: Path, force: bool, store: Path, as_json: bool, **how: Any) -> None:
    """Write the results of a SUITE to PATH, a zip file with the codes and labels that they can be computed from."""
    from retbench.study import opening
    from retbench.study.bundles import check_path, export_study

    check_path(path, force=force)
    written = export_study(opening.open(suite, store=store, **how), path)
    if as_json:
        record = {"path": str(path), "bytes": written.size, "rows": written.rows, "done": written.done}
        click.echo(json.dumps(record))
    else:
        click.echo(f"wrote {path}: {written.size / 1e6:.1f} MB, {written.rows} rows, {written.done} of them done")
