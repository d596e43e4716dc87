"""Reports and their tables as JSON."""

from __future__ import annotations

import json
import math
from typing import Any, cast

from retbench.canon import Json
from retbench.report.report import Report
from retbench.report.tables.table import Table


def as_json(report: Report, indent: int | None = None) -> str:
    """Return a report as JSON, on one line without `indent`: its tables and lines; pictures by their files' names."""
    parts = {
        "title": report.title,
        "description": report.description,
        "tables": [record(table) for table in report.tables],
        "pictures": [picture.stem for picture in (*report.pictures, *report.showcases)],
        "provenance": [list(line) for line in report.provenance],
    }
    return json.dumps(parts, indent=indent)


def record(table: Table) -> dict[str, Json]:
    """Return everything of a table but its curve, which has the same numbers, by the names of the model.

    Intervals and tie_ranges are before scaling, beside their unit; what is published is in that unit. A number that is
    not finite is null.
    """
    return {name: _plain(part) for name, part in table._asdict().items() if name != "curve"}


def _plain(part: Any) -> Json:
    if isinstance(part, tuple):
        named = getattr(part, "_asdict", None)
        return {name: _plain(value) for name, value in named().items()} if named else [_plain(item) for item in part]
    if isinstance(part, float) and not math.isfinite(part):
        return None
    return str(part) if isinstance(part, str) else cast(Json, part)
