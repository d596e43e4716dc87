"""`retbench results`: list the rows of a suite, or export them to a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from retbench.cli.options import json_option, store_option, suite_options


class DefaultListGroup(click.Group):
    """A group that runs its command `list` unless the first word names another command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert `list` where the command is left out."""
        if args and args[0] in {*self.commands, *ctx.help_option_names}:
            return super().parse_args(ctx, args)
        ctx.obj = args[0] if args else None
        return super().parse_args(ctx, ["list", *args])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; if the first word is neither a suite nor a command, the error lists both."""
        from retbench.errors import UnknownName

        try:
            return super().invoke(ctx)
        except UnknownName as error:
            if error.name != ctx.obj or Path(error.name).suffix:
                raise
            raise UnknownName("results: suite or command", error.name, [*error.choices, *self.commands]) from None


@click.group(cls=DefaultListGroup, no_args_is_help=False)
def results() -> None:
    """List the results of a suite, or export them to a bundle.

    `retbench results SUITE` is short for `retbench results list SUITE`.
    """


@results.command("list")
@click.argument("suite", required=False)
@suite_options
@store_option
@json_option
def list_rows(suite: str | None, store: Path, as_json: bool, **options: Any) -> None:
    """List the results of a SUITE, one row for each cell.

    SUITE is by default the last suite run in the store. The reasons of skipped and failed cells follow the rows.
    """
    from tabulate import tabulate

    from retbench.report.render import format_interval
    from retbench.report.tables.layout import units_of
    from retbench.results import ROW_AXES
    from retbench.study import opening

    rows = opening.open(suite, store=store, **options).rows()
    if as_json:
        click.echo(json.dumps([row.record() for row in rows]))
        return
    metrics = dict.fromkeys(name for row in rows for name in row.metrics)
    columns = (*ROW_AXES, "status")
    table = [
        [
            *(str(getattr(row, column)) for column in columns),
            *(format_interval(row.metrics.get(metric), units_of(metric)[0]) for metric in metrics),
        ]
        for row in rows
    ]
    click.echo(tabulate(table, (*columns, *metrics), "simple", disable_numparse=True))
    for reason in dict.fromkeys(f"{row.status}: {row.reason}" for row in rows if row.reason):
        click.echo(reason)


@results.command("export")
@click.argument("suite")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace an existing file.")
@suite_options
@store_option
@json_option
def export(suite: str, path: Path, force: bool, store: Path, as_json: bool, **options: Any) -> None:
    """Export the results of a SUITE to a bundle at PATH, a zip file.

    The bundle also holds the codes and labels that the results are computed from, so that `retbench verify` can compute
    them again.
    """
    from retbench.study import opening
    from retbench.study.bundles import check_bundle_path, export_study

    check_bundle_path(path, force=force)
    written = export_study(opening.open(suite, store=store, **options), path)
    if as_json:
        record = {"path": str(path), "bytes": written.size, "rows": written.rows, "done": written.done}
        click.echo(json.dumps(record))
    else:
        click.echo(f"wrote {path}: {written.size / 1e6:.1f} MB, {written.rows} rows, {written.done} with results")
