"""Who is best, and whether that can be told: paired tests over a table, Holm-adjusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from statistics import median
from typing import NamedTuple

from retbench.metrics import PairedTest, compare_pairs, detectable_difference, holm
from retbench.report.layout import Layout, MetricBlock
from retbench.report.pattern import AXES
from retbench.report.sample import sample_of
from retbench.report.table import Emphasis
from retbench.results import Row, Scores

LEVEL = 0.05
POWER = 0.8


class Bout(NamedTuple):
    """Two rivals on the same queries."""

    metric: str
    first: Row
    second: Row
    test: PairedTest


class Standings(NamedTuple):
    """What the contests of a table came to.

    Attributes:
        emphasis: by score keys and metric; what is not in it won nothing.
        bouts: how many pairs were compared.
        detectable: by metric label, the difference in 0..1 that half of the comparisons would find, see
            `detectable_difference`.
    """

    emphasis: Mapping[tuple[tuple[str, ...], str], Emphasis]
    bouts: int
    detectable: Mapping[str, float]


def hold_contests(rows: Sequence[Row], layout: Layout, scores: Scores) -> Standings:
    """Returns who is best among the rivals of each contest of a layout, over the rows of one page.

    Every pair of rivals is compared on the same queries (`compare_pairs`), and the p-values of the whole page are
    adjusted together (`holm`). The best by value is `best` where it is separated from every rival at 5 %; otherwise it
    and those it is not separated from are `tied`. Where there is no contest, neighbouring rows of a column are compared
    for the detectable difference alone.
    """
    contests = [(block, rivals) for block in layout.metrics for rivals in _contests(rows, layout, block)]
    bouts = [bout for block, rivals in contests for bout in _bouts(block, combinations(rivals, 2), scores)]
    adjusted = holm([bout.test.p for bout in bouts])
    told = {(bout.metric, bout.first.keys, bout.second.keys): p for bout, p in zip(bouts, adjusted, strict=True)}
    emphasis: dict[tuple[tuple[str, ...], str], Emphasis] = {}
    for block, rivals in contests:
        emphasis |= {(row.keys, block.name): kind for row, kind in _judged(block, rivals, told)}
    seen = bouts or [bout for block in layout.metrics for bout in _bouts(block, _neighbours(rows, layout), scores)]
    return Standings(emphasis, len(bouts), _detectable(seen, layout))


def _contests(rows: Sequence[Row], layout: Layout, block: MetricBlock) -> Iterator[list[Row]]:
    """Yields the rivals of each contest: cells alike on every axis but the contest's."""
    if layout.contest is None or block.better is None or block.at is not None:
        return
    axis, without = layout.contest.axis, layout.contest.without
    free = (axis, "variant") if layout.contest.variants else (axis,)
    alike = [other for other in AXES if other not in free]
    groups: dict[tuple[str | int, ...], list[Row]] = {}
    for row in rows:
        if row.status == "done" and block.name in row.metrics and str(getattr(row, axis)) not in without:
            groups.setdefault(tuple(getattr(row, other) for other in alike), []).append(row)
    yield from (rivals for rivals in groups.values() if len(rivals) > 1)


def _bouts(block: MetricBlock, pairs: Iterator[tuple[Row, Row]], scores: Scores) -> Iterator[Bout]:
    """Yields the comparison of each pair that was scored on the same queries."""
    for first, second in pairs:
        mine, theirs = sample_of(first, block.name, scores), sample_of(second, block.name, scores)
        if mine is not None and theirs is not None and mine.values.shape == theirs.values.shape:
            clusters = mine.clusters if mine.clusters is not None else theirs.clusters
            yield Bout(block.name, first, second, compare_pairs(mine.values, theirs.values, clusters=clusters))


def _judged(
    block: MetricBlock, rivals: Sequence[Row], told: Mapping[tuple[str, tuple[str, ...], tuple[str, ...]], float]
) -> Iterator[tuple[Row, Emphasis]]:
    """Yields the rows of a contest that are set off; none where the best was compared with nobody."""
    sign = 1 if block.better == "higher" else -1
    best = max(rivals, key=lambda row: sign * row.metrics[block.name].value)
    others = [row for row in rivals if row is not best]
    p_values = [_between(told, block.name, best, row) for row in others]
    near = [row for row, p in zip(others, p_values, strict=True) if p is not None and p >= LEVEL]
    if all(p is None for p in p_values):
        return
    yield best, "tied" if near else "best"
    yield from ((row, "tied") for row in near)


def _between(
    told: Mapping[tuple[str, tuple[str, ...], tuple[str, ...]], float], metric: str, first: Row, second: Row
) -> float | None:
    return told.get((metric, first.keys, second.keys), told.get((metric, second.keys, first.keys)))


def _neighbours(rows: Sequence[Row], layout: Layout) -> Iterator[tuple[Row, Row]]:
    """Yields each two cells that follow each other in a column."""
    columns: dict[tuple[str | int, ...], list[Row]] = {}
    for row in rows:
        if row.status == "done":
            columns.setdefault(tuple(getattr(row, axis) for axis in layout.columns), []).append(row)
    for column in columns.values():
        yield from pairwise(column)


def _detectable(bouts: Sequence[Bout], layout: Layout) -> dict[str, float]:
    found = {}
    for block in layout.metrics:
        tests = [bout.test for bout in bouts if bout.metric == block.name and bout.test.error > 0 < bout.test.freedom]
        if tests:
            each = [detectable_difference(test.error, test.freedom, level=LEVEL, power=POWER) for test in tests]
            found[block.label] = median(each)
    return found
