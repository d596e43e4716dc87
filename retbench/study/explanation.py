"""What a cell is made of, and what changed since it was last computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retbench.errors import UnknownName, UserError
from retbench.lineage import changes
from retbench.plan import PlannedCell
from retbench.study.history import read_run

if TYPE_CHECKING:
    from retbench.study.study import Study


def find_cell(study: Study, text: str) -> PlannedCell:
    """Return the one cell whose name has all pieces of a text; raises UserError for none or several."""
    names = {planned.cell.name: planned for planned in study.planned.cells}
    pieces = set(text.split("/"))
    hits = [text] if text in names else [name for name in names if pieces <= set(name.replace("[", "/[").split("/"))]
    if not hits:
        raise UnknownName("why: cell", text, names)
    if len(hits) > 1:
        raise UserError(f"why: cell: {text!r} fits {len(hits)} cells: got {', '.join(hits[:8])}, expected one")
    return names[hits[0]]


def explain(study: Study, planned: PlannedCell) -> dict[str, Any]:
    """Return a cell's status, its steps, and the recipe fields that differ from its last run, as JSON."""
    plan, store = study.planned, study.store
    record = read_run(store, study.run_name)
    found: dict[str, Any] = {"cell": planned.cell.name, "reason": planned.reason or "", "changes": [], "steps": []}
    if planned.key is None:
        return {**found, "status": "skipped"}
    before = record.get("cells", {}).get(planned.cell.name)
    changed = bool(before) and before != planned.key
    if changed:
        found["changes"] = [change._asdict() for change in changes(before, planned.key, plan, store)]
    for key in plan.ancestry(planned.key):
        step = plan.steps[key]
        found["steps"].append({"key": key, "stage": step.name, "label": step.label, "stored": store.has(key)})
    stored, failed = store.has(planned.key), record.get("failures", {}).get(planned.key, "")
    found["reason"] = "" if stored else failed or ("its recipe changed" if changed else "")
    return {**found, "status": "stored" if stored else "failed" if failed else "to run"}
