"""The best of each contest, and whether it is separated: paired tests over a table, Holm-adjusted."""

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
from retbench.report.tables.page import Point, point_of
from retbench.report.tables.sample import are_paired, sample_of
from retbench.report.tables.table import Emphasis
from retbench.results import ROW_AXES, Row, Scores
from retbench.stages.scoring import SQUARED

LEVEL = 0.05
POWER = 0.8
PAIRS = 50
"""Neighbors compared where there is no contest, spread over the page: enough for a median."""


class Comparison(NamedTuple):
    """Two rivals on the same queries."""

    metric: str
    first: Row
    second: Row
    test: PairedTest


class _Pair(NamedTuple):
    first: Row
    second: Row
    mine: Tensor
    theirs: Tensor
    clusters: Tensor | None


class Standings(NamedTuple):
    """The outcome of the contests of a table.

    Attributes:
        emphasis: by a cell's point on all axes and metric; a cell that is not in it won nothing.
        comparisons: how many pairs were compared.
        detectable: by metric label, the difference in 0..1 that half of the comparisons would find with a power of
            `POWER`, each at the level that the first of them has under Holm's adjustment (`detectable_difference`).
    """

    emphasis: Mapping[tuple[Point, str], Emphasis]
    comparisons: int
    detectable: Mapping[str, float]


def hold_contests(rows: Sequence[Row], layout: Layout, scores: Scores) -> Standings:
    """Return who is best among the rivals of each contest of a layout, over the rows of one page.

    Every pair of rivals is compared on the same queries (`compare_pairs`), and the p-values of the whole page are
    adjusted together (`holm`). The best by value is `best` where it is separated from every rival at 5 %; otherwise it
    and those it is not separated from are `tied`. Where there is no contest, some neighboring rows of a column are
    compared, for the detectable difference alone.
    """
    contests = [(block, rivals) for block in layout.metrics for rivals in _contests(rows, layout, block)]
    comparisons: list[Comparison] = []
    for block in layout.metrics:
        pairs = [pair for contested, rivals in contests if contested is block for pair in combinations(rivals, 2)]
        comparisons += _comparisons(block, pairs, scores)
    p_values = holm([comparison.test.p for comparison in comparisons])
    adjusted = {
        (comparison.metric, _cell(comparison.first), _cell(comparison.second)): p
        for comparison, p in zip(comparisons, p_values, strict=True)
    }
    emphasis: dict[tuple[Point, str], Emphasis] = {}
    for block, rivals in contests:
        emphasis |= {(_cell(row), block.name): kind for row, kind in _judged(block, rivals, adjusted)}
    near = [] if comparisons else list(_neighbors(rows, layout))
    few = near[:: math.ceil(len(near) / PAIRS)] if near else []
    seen = comparisons or [
        comparison for block in layout.metrics if _is_mean(block) for comparison in _comparisons(block, few, scores)
    ]
    return Standings(emphasis, len(comparisons), _detectable(seen, layout, LEVEL / max(1, len(comparisons))))


def _is_mean(block: MetricBlock) -> bool:
    """Return whether a block shows means over queries, not their shares, nor roots of them."""
    return block.at is None and block.name not in SQUARED


def _contests(rows: Sequence[Row], layout: Layout, block: MetricBlock) -> Iterator[list[Row]]:
    """Yield the rivals of each contest: cells alike on every axis but the contest's."""
    if layout.contest is None or block.better is None or block.at is not None:
        return
    axis, without = layout.contest.axis, layout.contest.without
    free = (axis, "variant") if layout.contest.variants else (axis,)
    alike = [other for other in ROW_AXES if other not in free]
    groups: dict[tuple[str | int, ...], list[Row]] = {}
    for row in rows:
        competes = row.status == "done" and block.shows(row) and str(getattr(row, axis)) not in without
        if competes and block.name in row.metrics and not math.isnan(row.metrics[block.name].value):
            groups.setdefault(tuple(getattr(row, other) for other in alike), []).append(row)
    yield from (rivals for rivals in groups.values() if len(rivals) > 1)


def _comparisons(block: MetricBlock, pairs: Iterable[tuple[Row, Row]], scores: Scores) -> Iterator[Comparison]:
    """Yield the comparison of each pair that was scored on the same queries, those of equal clusters together."""
    groups: dict[tuple[torch.Size, bytes], list[_Pair]] = {}
    for first, second in pairs:
        mine, theirs = sample_of(first, block.name, scores), sample_of(second, block.name, scores)
        if mine is not None and theirs is not None and are_paired(first, second, mine, theirs):
            clusters = mine.clusters if mine.clusters is not None else theirs.clusters
            alike = b"" if clusters is None else clusters.numpy().tobytes()
            pair = _Pair(first, second, mine.values, theirs.values, clusters)
            groups.setdefault((mine.values.shape, alike), []).append(pair)
    for group in groups.values():
        mine_all, theirs_all = (
            torch.stack(list(side)) for side in zip(*((pair.mine, pair.theirs) for pair in group), strict=True)
        )
        tests = compare_many(mine_all, theirs_all, clusters=group[0].clusters)
        found = zip(group, tests, strict=True)
        yield from (Comparison(block.name, pair.first, pair.second, test) for pair, test in found)


def _judged(
    block: MetricBlock, rivals: Sequence[Row], adjusted: Mapping[tuple[str, Point, Point], float]
) -> Iterator[tuple[Row, Emphasis]]:
    """Yield the rows of a contest that are set off; none where the best was compared with nobody.

    A rival that the best could not be compared with is not separated from it, nor set off.
    """
    sign = 1 if block.better == "higher" else -1
    best = max(rivals, key=lambda row: sign * row.metrics[block.name].value)
    others = [row for row in rivals if row is not best]
    p_values = [_between(adjusted, block.name, best, row) for row in others]
    if all(p is None for p in p_values):
        return
    near = [row for row, p in zip(others, p_values, strict=True) if p is not None and p >= LEVEL]
    yield best, "tied" if near or None in p_values else "best"
    yield from ((row, "tied") for row in near)


def _between(adjusted: Mapping[tuple[str, Point, Point], float], metric: str, first: Row, second: Row) -> float | None:
    return adjusted.get((metric, _cell(first), _cell(second)), adjusted.get((metric, _cell(second), _cell(first))))


def _cell(row: Row) -> Point:
    return point_of(row, ROW_AXES)


def _neighbors(rows: Sequence[Row], layout: Layout) -> Iterator[tuple[Row, Row]]:
    """Yield each two cells that follow each other in a column."""
    columns: dict[tuple[str | int, ...], list[Row]] = {}
    for row in rows:
        if row.status == "done":
            columns.setdefault(tuple(getattr(row, axis) for axis in layout.columns), []).append(row)
    for column in columns.values():
        yield from pairwise(column)


def _detectable(comparisons: Sequence[Comparison], layout: Layout, level: float) -> dict[str, float]:
    found = {}
    for block in filter(_is_mean, layout.metrics):
        tests = [
            comparison.test
            for comparison in comparisons
            if comparison.metric == block.name and comparison.test.error > 0 < comparison.test.freedom
        ]
        if tests:
            each = [detectable_difference(test.error, test.freedom, level=level, power=POWER) for test in tests]
            found[block.label] = median(each)
    return found
