"""Explain a cell: its status, its steps, and the recipe fields that changed since its last result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retbench.errors import UnknownName, UserError
from retbench.lineage import find_changes
from retbench.plan import PlannedCell
from retbench.study.history import read_run

if TYPE_CHECKING:
    from retbench.study.study import Study


def find_cell(study: Study, text: str) -> PlannedCell:
    """Return the cell with this name, or the only cell whose name has all parts of the text.

    Raises:
        UnknownName: no cell matches.
        UserError: several cells match.
    """
    cells = {planned.cell.name: planned for planned in study.planned.cells}
    parts = set(text.split("/"))
    matches = [text] if text in cells else [name for name in cells if parts <= _parts(name)]
    if not matches:
        raise UnknownName("why: cell", text, cells)
    if len(matches) > 1:
        raise UserError(
            f"why: cell: {text!r} matches {len(matches)} cells: got {', '.join(matches[:8])}, expected one; add the "
            "value of another axis"
        )
    return cells[matches[0]]


def _parts(name: str) -> set[str]:
    """Return the axes of a cell's name, with the variant in brackets as one part."""
    return set(name.replace("[", "/[").split("/"))


def explain(study: Study, planned: PlannedCell) -> dict[str, Any]:
    """Return a cell's status, its steps, and the recipe fields that changed since its last result, as JSON."""
    plan, store = study.planned, study.store
    record = read_run(store, study.run_name)
    explanation: dict[str, Any] = {
        "cell": planned.cell.name,
        "reason": planned.reason or "",
        "changes": [],
        "steps": [],
    }
    if planned.key is None:
        return {**explanation, "status": "skipped"}
    last_key = record.get("cells", {}).get(planned.cell.name)
    changed = bool(last_key) and last_key != planned.key
    if changed:
        explanation["changes"] = [change._asdict() for change in find_changes(last_key, planned.key, plan, store)]
    for key in plan.ancestry(planned.key):
        step = plan.steps[key]
        entry = {"key": key, "stage": step.name, "label": step.label, "stored": store.has(key)}
        explanation["steps"].append(entry)
    stored, failed = store.has(planned.key), record.get("failures", {}).get(planned.key, "")
    explanation["reason"] = "" if stored else failed or ("its recipe changed" if changed else "")
    return {**explanation, "status": "stored" if stored else "failed" if failed else "to run"}
