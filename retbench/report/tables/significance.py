"""The best cell of each group of competing cells, and its significance: paired tests over a page, Holm-adjusted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from retbench.metrics import PairedTest, compare_many, detectable_difference, holm
from retbench.report.tables.layout import Layout, MetricBlock
from retbench.report.tables.page import AxisValues, axis_values
from retbench.report.tables.sample import are_paired, sample_of
from retbench.report.tables.table import Emphasis
from retbench.results import ROW_AXES, Row, ScoreReader
from retbench.stages.scoring import RMS_METRICS

LEVEL = 0.05
POWER = 0.8
MAX_NEIGHBOR_PAIRS = 50
"""Neighboring rows compared where no cells compete, spread over the page: enough for a median."""

AdjustedP = Mapping[tuple[str, AxisValues, AxisValues], float]
"""Holm-adjusted p-values by metric and the two cells compared."""


Detectable = Mapping[str, Mapping[str, tuple[float, float]]]
"""Detectable differences by kind of pair and metric label: the smallest and the largest."""


class PairComparison(NamedTuple):
    """The paired test of two cells on the same queries."""

    metric: str
    first: Row
    second: Row
    test: PairedTest


class _SamplePair(NamedTuple):
    first: Row
    second: Row
    first_values: Tensor
    second_values: Tensor
    clusters: Tensor | None


class SignificanceResults(NamedTuple):
    """The results of the paired tests of a page.

    Attributes:
        emphasis: by a cell's values on all axes and metric; cells without emphasis are left out.
        comparisons: number of pairs compared; cells with the same scores are compared once.
        detectable: by the kind of a pair (`ATRDH and DDPM`) and metric label, the smallest and the largest difference
            in 0..1 that would be detected with a power of `POWER`, at the significance level of the first step of
            Holm's adjustment (`detectable_difference`). If no cells compete, the kind is empty, and both are the median
            over neighboring rows.
    """

    emphasis: Mapping[tuple[AxisValues, str], Emphasis]
    comparisons: int
    detectable: Detectable


def compare_competitors(rows: Sequence[Row], layout: Layout, scores: ScoreReader) -> SignificanceResults:
    """Return the best of the competing cells of a layout's contests, over the rows of one page.

    Every pair of competing cells is compared on the same queries (`compare_many`), and the p-values of the whole page
    are adjusted together (`holm`). The cell with the best value is `best` if it differs significantly from every
    competitor at 5 %; otherwise it and those it does not differ from significantly are `tied`. If no cells compete,
    some neighboring rows of each column are compared, for the detectable difference alone.
    """
    contests = [(block, group) for block in layout.metrics for group in _competing_groups(rows, layout, block)]
    comparisons: list[PairComparison] = []
    for block in layout.metrics:
        pairs = [pair for contested, group in contests if contested is block for pair in combinations(group, 2)]
        comparisons += _comparisons(block, pairs, scores)
    tests = {_scores_of(comparison): comparison.test.p_value for comparison in comparisons}
    p_values = dict(zip(tests, holm([*tests.values()]), strict=True))
    adjusted = {
        (comparison.metric, _cell(comparison.first), _cell(comparison.second)): p_values[_scores_of(comparison)]
        for comparison in comparisons
    }
    emphasis: dict[tuple[AxisValues, str], Emphasis] = {}
    for block, group in contests:
        emphasis |= {(_cell(row), block.name): kind for row, kind in _emphasized(block, group, adjusted)}
    if comparisons:
        detectable = _detectable_by_kind(comparisons, layout, LEVEL / len(tests))
    else:
        detectable = _detectable_between_neighbors(rows, layout, scores)
    return SignificanceResults(emphasis, len(tests), detectable)


def _scores_of(comparison: PairComparison) -> tuple[str, frozenset[tuple[str, ...]]]:
    """Return what a comparison depends on: the metric, and the scores of both cells."""
    return comparison.metric, frozenset((comparison.first.keys, comparison.second.keys))


def _is_mean(block: MetricBlock) -> bool:
    """Return whether a block shows means over queries, neither shares of queries nor root mean squares."""
    return block.at is None and block.name not in RMS_METRICS


def _competing_groups(rows: Sequence[Row], layout: Layout, block: MetricBlock) -> Iterator[list[Row]]:
    """Yield the groups of competing cells, which agree on every axis but the contest's; none of them has a warning."""
    if layout.contest is None or block.better is None or block.at is not None:
        return
    axis, without = layout.contest.axis, layout.contest.without
    free = (axis, "variant") if layout.contest.variants else (axis,)
    fixed = [other for other in ROW_AXES if other not in free]
    groups: dict[tuple[str | int, ...], list[Row]] = {}
    for row in rows:
        competes = (
            row.status == "done" and not row.warnings and block.shows(row) and str(getattr(row, axis)) not in without
        )
        if competes and block.name in row.metrics and not math.isnan(row.metrics[block.name].value):
            groups.setdefault(tuple(getattr(row, other) for other in fixed), []).append(row)
    yield from (group for group in groups.values() if len(group) > 1)


def _comparisons(block: MetricBlock, pairs: Iterable[tuple[Row, Row]], scores: ScoreReader) -> Iterator[PairComparison]:
    """Yield the comparison of each pair that was scored on the same queries; pairs with equal clusters in one batch."""
    batches: dict[tuple[torch.Size, bytes], list[_SamplePair]] = {}
    for first, second in pairs:
        samples = sample_of(first, block.name, scores), sample_of(second, block.name, scores)
        if samples[0] is None or samples[1] is None or not are_paired(first, second, samples[0], samples[1]):
            continue
        clusters = samples[0].clusters if samples[0].clusters is not None else samples[1].clusters
        cluster_bytes = b"" if clusters is None else clusters.numpy().tobytes()
        pair = _SamplePair(first, second, samples[0].values, samples[1].values, clusters)
        batches.setdefault((pair.first_values.shape, cluster_bytes), []).append(pair)
    for batch in batches.values():
        first_values = torch.stack([pair.first_values for pair in batch])
        second_values = torch.stack([pair.second_values for pair in batch])
        tests = compare_many(first_values, second_values, clusters=batch[0].clusters)
        for pair, test in zip(batch, tests, strict=True):
            yield PairComparison(block.name, pair.first, pair.second, test)


def _emphasized(block: MetricBlock, group: Sequence[Row], adjusted: AdjustedP) -> Iterator[tuple[Row, Emphasis]]:
    """Yield the cells of a group with emphasis; none if the best could not be compared with any competitor.

    A competitor that the best could not be compared with counts as not significantly different, but has no emphasis.
    """
    sign = 1 if block.better == "higher" else -1
    best = max(group, key=lambda row: sign * row.metrics[block.name].value)
    others = [row for row in group if row is not best]
    p_values = [_p_value(adjusted, block.name, best, row) for row in others]
    if all(p is None for p in p_values):
        return
    tied = [row for row, p in zip(others, p_values, strict=True) if p is not None and p >= LEVEL]
    yield best, "tied" if tied or None in p_values else "best"
    yield from ((row, "tied") for row in tied)


def _p_value(adjusted: AdjustedP, metric: str, first: Row, second: Row) -> float | None:
    return adjusted.get((metric, _cell(first), _cell(second)), adjusted.get((metric, _cell(second), _cell(first))))


def _cell(row: Row) -> AxisValues:
    return axis_values(row, ROW_AXES)


def _neighbors(rows: Sequence[Row], layout: Layout) -> Iterator[tuple[Row, Row]]:
    """Yield each pair of consecutive done rows of a column."""
    columns: dict[tuple[str | int, ...], list[Row]] = {}
    for row in rows:
        if row.status == "done":
            columns.setdefault(tuple(getattr(row, axis) for axis in layout.columns), []).append(row)
    for column in columns.values():
        yield from pairwise(column)


def _detectable_by_kind(comparisons: Sequence[PairComparison], layout: Layout, level: float) -> Detectable:
    """Return the range of the detectable differences of each kind of pair, in order of the first pair."""
    found: dict[str, dict[str, list[float]]] = {}
    for block in filter(_is_mean, layout.metrics):
        for comparison in comparisons:
            difference = _difference(comparison.test, level)
            if comparison.metric == block.name and difference is not None:
                found.setdefault(_kind(comparison, layout), {}).setdefault(block.label, []).append(difference)
    return {kind: {label: (min(values), max(values)) for label, values in each.items()} for kind, each in found.items()}


def _detectable_between_neighbors(rows: Sequence[Row], layout: Layout, scores: ScoreReader) -> Detectable:
    """Return the median difference that a single test detects between some neighboring rows."""
    neighbors = list(_neighbors(rows, layout))
    some = neighbors[:: math.ceil(len(neighbors) / MAX_NEIGHBOR_PAIRS)] if neighbors else []
    medians = {}
    for block in filter(_is_mean, layout.metrics):
        differences = (_difference(comparison.test, LEVEL) for comparison in _comparisons(block, some, scores))
        if known := [difference for difference in differences if difference is not None]:
            medians[block.label] = (median(known), median(known))
    return {"": medians} if medians else {}


def _difference(test: PairedTest, level: float) -> float | None:
    """Return the detectable difference of a test; None if all pairs are equal, or are too few."""
    if not test.standard_error > 0 < test.degrees_of_freedom:
        return None
    return detectable_difference(test.standard_error, test.degrees_of_freedom, level=level, power=POWER)


def _kind(comparison: PairComparison, layout: Layout) -> str:
    """Return the two competitors in words, in alphabetic order; `DDPM variants` for two that differ in options only."""
    axis = layout.contest.axis if layout.contest else ""
    names = sorted({layout.printed_name(axis, getattr(row, axis)) for row in (comparison.first, comparison.second)})
    return " and ".join(names) if len(names) > 1 else f"{names[0]} variants"
