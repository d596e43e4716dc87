"""Differences between two values of an axis, on the same queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from retbench.errors import LayoutError, suggest
from retbench.metrics import Interval, paired_difference
from retbench.report.tables.layout import COSTS, MetricBlock, PairedAxis
from retbench.report.tables.pool import pool_seeds
from retbench.report.tables.sample import are_paired, sample_of
from retbench.results import ROW_AXES, Evidence, Row, ScoreReader
from retbench.stages.scoring import RMS_METRICS


def pair_rows(evidence: Evidence, paired: PairedAxis, blocks: Sequence[MetricBlock]) -> list[Row]:
    """Return a row for each pair of cells that differ in the paired axis only: the first less the second, seeds pooled.

    The metrics of the blocks are mean differences over the same queries with bootstrap intervals (`paired_difference`);
    the other metrics are those of the first cell. A pair is left out if it lacks a cell or if its cells were scored on
    different queries. If a cell of a pair is not done, the row has that cell's status.

    Raises:
        LayoutError: a block shows something other than a mean over queries (a root mean square, a cost, a share), or
            no cell has one of the two values.
    """
    for block in blocks:
        if block.name in (*RMS_METRICS, *COSTS) or block.at is not None:
            raise LayoutError(f"paired: metrics: only means over queries have paired differences: got {block.name!r}")
    known = {str(getattr(row, paired.axis)) for row in evidence.rows}
    for value in (paired.first, paired.second):
        if value not in known:
            raise LayoutError(f"paired: no cell has this {paired.axis}: got {value!r}, {suggest(value, known)}")
    shown = {block.name for block in blocks}
    pooled = pool_seeds(evidence.rows, evidence.scores)
    cells = {(str(getattr(row, paired.axis)), _other_axes(row, paired.axis)): row for row in pooled}
    pairs = []
    for (value, others), row in cells.items():
        partner = cells.get((paired.second, others))
        if value != paired.first or partner is None:
            continue
        if undone := next((cell for cell in (row, partner) if cell.status != "done"), None):
            pairs.append(replace(row, status=undone.status, reason=undone.reason, metrics={}))
        else:
            differences = _differences(row, partner, blocks, evidence.scores)
            own = {name: interval for name, interval in row.metrics.items() if name not in shown}
            if differences:
                pairs.append(_difference_row(row, partner, {**own, **differences}))
    return pairs


def _difference_row(first: Row, second: Row, metrics: Mapping[str, Interval]) -> Row:
    """Return the row of a difference, with the provenance of both cells."""
    return replace(
        first,
        metrics=metrics,
        tie_ranges={},
        details={**second.details, **first.details},
        caveats=tuple(dict.fromkeys((*first.caveats, *second.caveats))),
        warnings=tuple(dict.fromkeys((*first.warnings, *second.warnings))),
        steps=tuple(dict.fromkeys((*first.steps, *second.steps))),
    )


def _differences(first: Row, second: Row, blocks: Sequence[MetricBlock], scores: ScoreReader) -> dict[str, Interval]:
    level, resamples = cast(float, first.protocol["confidence"]), cast(int, first.protocol["resamples"])
    differences = {}
    for block in blocks:
        first_sample, second_sample = sample_of(first, block.name, scores), sample_of(second, block.name, scores)
        if (
            first_sample is not None
            and second_sample is not None
            and are_paired(first, second, first_sample, second_sample)
        ):
            differences[block.name] = paired_difference(
                first_sample.values,
                second_sample.values,
                clusters=first_sample.clusters if first_sample.clusters is not None else second_sample.clusters,
                level=level,
                resamples=resamples,
            )
    return differences


def _other_axes(row: Row, axis: str) -> tuple[str | int, ...]:
    return tuple(getattr(row, other) for other in ROW_AXES if other not in (axis, "seed"))
