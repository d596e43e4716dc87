"""Tables as JSON."""

from __future__ import annotations

import math
from typing import Any, cast

from retbench.canon import Json
from retbench.report.tables.table import Table


def record(table: Table) -> dict[str, Json]:
    """Returns everything of a table but its curve, which has the same numbers, by the names of the model.

    Intervals and envelopes are before scaling, beside their unit; what is published is in that unit. A number that is
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
