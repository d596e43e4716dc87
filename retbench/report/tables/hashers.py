"""Chance levels and code counts of the hashers of a table, beside which its numbers are read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from retbench.report.tables.layout import Layout
from retbench.report.tables.table import HasherLine
from retbench.results import Row
from retbench.stages.scoring import CODE_FIELDS

AXES = ("dataset", "hasher", "bits", "task")


def hasher_lines(rows: Sequence[Row], layout: Layout) -> tuple[HasherLine, ...]:
    """Return a line for each hasher of a table, and one for each defense that gives it other codes."""
    done = [row for row in rows if row.status == "done" and "chance" in row.protocol and CODE_FIELDS[0] in row.data]
    shown = [axis for axis in AXES if axis in AXES[:2] or len({getattr(row, axis) for row in done}) > 1]
    lines: dict[tuple[Any, ...], HasherLine] = {}
    systems: set[str] = set()
    for row in sorted(done, key=lambda row: row.defense != "none"):
        key = (*(getattr(row, axis) for axis in AXES), *(row.data[name] for name in CODE_FIELDS))
        if key in lines:
            continue
        label = " ".join(layout.printed_name(axis, getattr(row, axis)) for axis in shown)
        if label in systems:
            label = f"{label}, {layout.printed_name('defense', row.defense)}"
        systems.add(label)
        lines[key] = _line(label, row)
    return tuple(lines.values())


def _line(label: str, row: Row) -> HasherLine:
    chance, data = cast(Mapping[str, float | None], row.protocol["chance"]), cast(dict[str, Any], row.data)
    own, target = (math.nan if level is None else level for level in (chance["map"], chance["t_map"]))
    return HasherLine(label, own, target, data["distinct_codes"], data["database"], data["largest_code"])
