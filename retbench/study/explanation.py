"""Explain a cell: its status, its steps, and the recipe fields that changed since its last result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retbench.errors import RecordUnreadable, UnknownName, UserError
from retbench.lineage import find_changes
from retbench.plan import PlannedCell
from retbench.study.runs.history import find_last_result

if TYPE_CHECKING:
    from retbench.study.study import Study


MAX_LISTED = 5
"""Matching cells that a message lists."""


def find_cell(study: Study, text: str) -> PlannedCell:
    """Return the cell with this name, or the only cell whose name has all parts of the text.

    Raises:
        UnknownName: no cell has one of the parts.
        UserError: no cell has all parts, or several cells have them.
    """
    cells = {planned.cell.name: planned for planned in study.planned.cells}
    if text in cells:
        return cells[text]
    parts, parts_of_cells = _split(text), {name: set(_split(name)) for name in cells}
    known = set[str]().union(*parts_of_cells.values())
    for part in parts:
        if part not in known:
            raise UnknownName("why: cell", part, known, study.format_command("results"))
    matches = [name for name in cells if parts_of_cells[name].issuperset(parts)]
    if not matches:
        nearest = sorted(cells, key=lambda name: len(parts_of_cells[name].intersection(parts)), reverse=True)[:3]
        raise UserError(f"why: cell: no cell has all these values: got {text!r}; nearest: {', '.join(nearest)}")
    if len(matches) > 1:
        more = f" and {len(matches) - MAX_LISTED} more" if len(matches) > MAX_LISTED else ""
        raise UserError(
            f"why: cell: {text!r} matches {len(matches)} cells: got {', '.join(matches[:MAX_LISTED])}{more}, expected "
            "one; add the value of another axis"
        )
    return cells[matches[0]]


def _split(name: str) -> list[str]:
    """Return the values in a cell's name, with the variant in brackets as one part."""
    return [part for part in name.replace("[", "/[").split("/") if part]


def explain(study: Study, planned: PlannedCell) -> dict[str, Any]:
    """Return a cell's status, its steps, and the recipe fields that changed since its last result, as JSON.

    `note` is why the last result is unknown; empty if it is known, or if there is none.
    """
    plan, store = study.planned, study.store
    explanation: dict[str, Any] = {
        "cell": planned.cell.name,
        "reason": planned.reason or "",
        "note": "",
        "changes": [],
        "steps": [],
    }
    if planned.key is None:
        return {**explanation, "status": "failed" if planned.failed else "skipped"}
    last_key = None
    try:
        last_key = find_last_result(study, planned.cell.name)
    except RecordUnreadable as error:
        explanation["note"] = f"{error}; what changed since the last result is unknown"
    changed = last_key is not None and last_key != planned.key
    if last_key is not None and changed:
        explanation["changes"] = [change._asdict() for change in find_changes(last_key, planned.key, plan, store)]
    for key in plan.ancestry(planned.key):
        step = plan.steps[key]
        entry = {"key": key, "stage": step.name, "label": step.label, "stored": store.has(key)}
        explanation["steps"].append(entry)
    stored, failed = store.has(planned.key), study.failures.get(planned.key, "")
    explanation["reason"] = "" if stored else failed or ("its recipe changed" if changed else "")
    return {**explanation, "status": "stored" if stored else "failed" if failed else "to run"}
