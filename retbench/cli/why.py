"""`retbench why`: what a cell is made of, and what changed since it was last computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from retbench.cli.options import json_option, store_option, suite_options

if TYPE_CHECKING:
    from retbench.cli.session import Session
    from retbench.plan import PlannedCell


@click.command()
@click.argument("cell")
@click.argument("suite", required=False)
@suite_options
@store_option
@json_option
def why(cell: str, suite: str | None, store: Path, as_json: bool, **how: Any) -> None:
    """Explain a CELL, such as digits/dpsh/dhta/retpur: stored, to run, skipped or failed, and which field changed.

    CELL is a cell's name, or those pieces of it that no other cell has; without a SUITE it is one of the last run's.
    """
    from retbench.cli.session import Request, open_session

    session = open_session(Request(suite, **how), store)
    told = explain(session, find_cell(session, cell))
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(f"{told['cell']}: {told['status']}{': ' + told['reason'] if told['reason'] else ''}")
    for change in told["changes"]:
        click.echo(
            f"  {change['stage']} {change['label']}: {change['field']}: "
            f"was {change['before']!r}, is {change['after']!r}"
        )
    for step in told["steps"]:
        click.echo(f"  {'stored' if step['stored'] else 'to run'}  {step['key'][:12]}  {step['stage']} {step['label']}")


def find_cell(session: Session, text: str) -> PlannedCell:
    """Returns the one cell whose name has all pieces of `text`; raises UserError for none or several."""
    from retbench.errors import UnknownName, UserError

    names = {planned.cell.name: planned for planned in session.plan.cells}
    pieces = set(text.split("/"))
    hits = [text] if text in names else [name for name in names if pieces <= set(name.replace("[", "/[").split("/"))]
    if not hits:
        raise UnknownName("why: cell", text, names)
    if len(hits) > 1:
        raise UserError(f"why: cell: {text!r} fits {len(hits)} cells: got {', '.join(hits[:8])}, expected one")
    return names[hits[0]]


def explain(session: Session, planned: PlannedCell) -> dict[str, Any]:
    """Returns a cell's status, its steps, and the recipe fields that differ from its last run."""
    from retbench.lineage import changes

    record = cast(dict[str, Any], session.store.runs().get(session.run_name, {}))
    told: dict[str, Any] = {"cell": planned.cell.name, "reason": planned.reason or "", "changes": [], "steps": []}
    if planned.key is None:
        return {**told, "status": "skipped"}
    before = record.get("cells", {}).get(planned.cell.name)
    if before and before != planned.key:
        found = changes(before, planned.key, session.plan, session.store)
        told["changes"] = [change._asdict() for change in found]
    for key in session.plan.ancestry(planned.key):
        step = session.plan.steps[key]
        told["steps"].append({"key": key, "stage": step.name, "label": step.label, "stored": session.store.has(key)})
    stored = session.store.has(planned.key)
    failed = session.failures.get(planned.key, "")
    told["reason"] = "" if stored else failed or ("its recipe changed" if before and before != planned.key else "")
    return {**told, "status": "stored" if stored else "failed" if failed else "to run"}
