"""Reports and their tables as JSON."""

from __future__ import annotations

import json
import math
from typing import Any, cast

from retbench.canon import Json
from retbench.report.report import Report
from retbench.report.tables.table import Table


def as_json(report: Report, indent: int | None = None) -> str:
    """Return a report as JSON: its tables, its provenance, and the stems of its pictures; on one line by default."""
    parts = {
        "title": report.title,
        "description": report.description,
        "tables": [table_record(table) for table in report.tables],
        "pictures": [picture.stem for picture in (*report.pictures, *report.gallery_pictures)],
        "provenance": [list(line) for line in report.provenance],
    }
    return json.dumps(parts, indent=indent)


def table_record(table: Table) -> dict[str, Json]:
    """Return a table as JSON values, by the names of its fields, without its curve, which has the same numbers.

    Intervals and tie ranges are not scaled to their unit; published numbers are. A number that is not finite is null.
    """
    return {name: _plain(part) for name, part in table._asdict().items() if name != "curve"}


def _plain(part: Any) -> Json:
    if isinstance(part, tuple):
        named = getattr(part, "_asdict", None)
        return {name: _plain(value) for name, value in named().items()} if named else [_plain(item) for item in part]
    if isinstance(part, float) and not math.isfinite(part):
        return None
    return str(part) if isinstance(part, str) else cast(Json, part)
