"""Differences between two values of an axis, on the same queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from retbench.errors import LayoutError, suggest
from retbench.metrics import Interval, paired_difference
from retbench.report.tables.layout import COSTS, MetricBlock, Paired
from retbench.report.tables.pool import pool_seeds
from retbench.report.tables.sample import are_paired, sample_of
from retbench.results import ROW_AXES, Evidence, Row, Scores
from retbench.stages.scoring import SQUARED


def pair(evidence: Evidence, paired: Paired, blocks: Sequence[MetricBlock]) -> list[Row]:
    """Return a row for each pair of cells that differ in the paired axis only, seeds pooled: first less second.

    The metrics of the blocks are mean differences over the same queries with bootstrap intervals
    (`paired_difference`), the others those of the first; a pair that lacks a side, or whose sides were scored on other
    queries, is left out.

    A pair of which a side is not done is a row of that side's status.

    Raises:
        LayoutError: a block shows what is no mean over queries: a root mean square, a cost, a share; or no cell has one
            of the values.
    """
    for block in blocks:
        if block.name in (*SQUARED, *COSTS) or block.at is not None:
            raise LayoutError(f"paired: metrics: differences are of means over queries: got {block.name!r}")
    known = {str(getattr(row, paired.axis)) for row in evidence.rows}
    for value in (paired.first, paired.second):
        if value not in known:
            raise LayoutError(f"paired: no cell has this {paired.axis}: got {value!r}, {suggest(value, known)}")
    shown = {block.name for block in blocks}
    pooled = pool_seeds(evidence.rows, evidence.scores)
    sides = {(str(getattr(row, paired.axis)), _others(row, paired.axis)): row for row in pooled}
    found = []
    for (value, others), row in sides.items():
        partner = sides.get((paired.second, others))
        if value != paired.first or partner is None:
            continue
        if undone := next((side for side in (row, partner) if side.status != "done"), None):
            found.append(replace(row, status=undone.status, reason=undone.reason, metrics={}))
        else:
            differences = _differences(row, partner, blocks, evidence.scores)
            own = {name: interval for name, interval in row.metrics.items() if name not in shown}
            if differences:
                found.append(_difference_row(row, partner, {**own, **differences}))
    return found


def _difference_row(first: Row, second: Row, metrics: Mapping[str, Interval]) -> Row:
    """Return the row of a difference, which rests on what both sides rest on."""
    return replace(
        first,
        metrics=metrics,
        tie_ranges={},
        details={**second.details, **first.details},
        caveats=tuple(dict.fromkeys((*first.caveats, *second.caveats))),
        steps=tuple(dict.fromkeys((*first.steps, *second.steps))),
    )


def _differences(first: Row, second: Row, blocks: Sequence[MetricBlock], scores: Scores) -> dict[str, Interval]:
    level, resamples = cast(float, first.protocol["confidence"]), cast(int, first.protocol["resamples"])
    found = {}
    for block in blocks:
        mine, theirs = sample_of(first, block.name, scores), sample_of(second, block.name, scores)
        if mine is not None and theirs is not None and are_paired(first, second, mine, theirs):
            clusters = mine.clusters if mine.clusters is not None else theirs.clusters
            found[block.name] = paired_difference(
                mine.values, theirs.values, clusters=clusters, level=level, resamples=resamples
            )
    return found


def _others(row: Row, axis: str) -> tuple[str | int, ...]:
    return tuple(getattr(row, other) for other in ROW_AXES if other not in (axis, "seed"))
