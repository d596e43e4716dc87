"""`retbench report`: the tables of a suite, from what the store holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retbench.cli.options import json_option, store_option, suite_options

if TYPE_CHECKING:
    from retbench.cli.session import Session
    from retbench.report import Report
    from retbench.results import Row


@click.command()
@click.argument("suite", required=False)
@suite_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write DIR/<suite>.md, and pictures of curves, instead of printing.",
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown even on a terminal.")
@store_option
@json_option
def report(suite: str | None, store: Path, out: Path | None, as_markdown: bool, as_json: bool, **how: Any) -> None:
    """Print or write the tables of a SUITE; by default of the last one run in this store."""
    import sys

    from retbench.cli.session import Request, open_session
    from retbench.errors import UserError
    from retbench.report import as_markdown as to_markdown
    from retbench.report import write_report

    session = open_session(Request(suite, **how), store)
    rows = session.rows()
    if not any(row.status == "done" for row in rows):
        raise UserError(f"report: nothing of {session.run_name} is in {store}: {_what_to_do(session, rows)}")
    made = make_report(session)
    if as_json:
        click.echo(json.dumps(_record(made)))
    elif out is not None:
        for path in write_report(made, out, session.run_name.replace("@", "-")):
            click.echo(f"wrote {path}")
    elif as_markdown or not sys.stdout.isatty():
        click.echo(to_markdown(made))
    else:
        _show(made)


def _what_to_do(session: Session, rows: Sequence[Row]) -> str:
    """Returns why there is nothing to report, and what to do about it."""
    statuses = {row.status for row in rows}
    if statuses == {"skipped"}:
        return f"every cell is skipped; `retbench plan {session.loaded.path}` says why"
    if "missing" not in statuses:
        return f"no cell is done; `retbench results {session.loaded.path}` says what failed"
    return f"run it first: retbench run {session.loaded.path}"


def make_report(session: Session) -> Report:
    """Returns a session's report: the tables of the suite's layouts, and what they rest on."""
    from retbench import __version__
    from retbench.report import Report, make_tables, provenance

    rows, suite = session.rows(), session.loaded.suite
    profile = f", profile {session.loaded.profile}" if session.loaded.profile else ""
    tables = make_tables(rows, session.layouts, session.store, narrowed=bool(session.request.only))
    plugins = sorted({f"{entry.origin}" for entry in session.catalog.entries().values()})
    versions = [f"retbench {__version__}", *plugins]
    lines = provenance(rows, session.plan, session.store, versions)
    return Report(f"{suite.suite}{profile}", suite.description, tables, tuple(lines))


def _record(made: Report) -> dict[str, Any]:
    """Returns a report as JSON; a place without a number is null. A curve has its table's numbers and is left out."""
    tables = [
        {
            **{name: value for name, value in table._asdict().items() if name != "curve"},
            "rows": [
                {**row._asdict(), "values": [v.interval._asdict() if v.interval else None for v in row.values]}
                for row in table.rows
            ],
        }
        for table in made.tables
    ]
    return {**made._asdict(), "tables": tables}


def _show(made: Report) -> None:
    from rich.console import Console

    from retbench.report import console
    from retbench.report.render import announce

    screen = Console()
    screen.print(f"[bold]{made.title}[/]: {made.description}\n")
    for table in made.tables:
        screen.print(console(table), "")
        if told := announce(table):
            screen.print(f"{told}\n", markup=False, highlight=False)
    for line in made.provenance:
        screen.print(line, markup=False, highlight=False)
