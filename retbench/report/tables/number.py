"""What a block of a table shows of a row."""

from __future__ import annotations

import math
from typing import cast

from retbench.metrics import Interval
from retbench.report.tables.layout import MetricBlock
from retbench.report.tables.sample import interval_of, sample_of, share_of
from retbench.results import Row, Scores

COSTS = {
    "attack_seconds": ("attack_seconds_per_query",),
    "defense_seconds": ("defense_seconds_per_query",),
    "peak_memory": ("attack_peak_memory", "defense_peak_memory"),
}
"""The costs that a block may show, and where a row has them; of several the most."""


def number_of(row: Row, block: MetricBlock, scores: Scores) -> Interval | None:
    """Returns the number that a block shows of a row: a metric, a cost, or a share; None where the row has none."""
    if block.at is not None:
        sample = sample_of(row, block.name, scores)
        if sample is None or sample.values.ndim != 2:
            return None
        return interval_of(share_of(sample, block.at), row)
    if block.name in COSTS:
        found = [cast(float, row.cost[name]) for name in COSTS[block.name] if name in row.cost]
        return Interval(max(found), math.nan, math.nan) if found else None
    return row.metrics.get(block.name)
