"""What a defense recovers under attack, against what it costs: clean retrieval, or seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from retbench.metrics import Interval, paired_difference
from retbench.report.figures.chart import Panel, Spot
from retbench.report.figures.setting import NONE, Condition, Setting

AT_QUERY_TIME = frozenset({"purify", "certify"})
"""The stages of a defense that take time for each query."""

Cost = Callable[[Setting, Condition], Interval | None]


def robustness_panel(setting: Setting) -> Panel | None:
    """Return the points of MAP that each defense recovers under each attack, over those that it costs clean queries.

    Both are means of paired differences over queries, in points (percent of MAP), with intervals as the tables have
    them. A defense is left out where clean queries, or attacked ones, were not scored both with and without it; None
    where all are.
    """
    return _panel(setting, _clean_cost, "{:z.2f} points of clean MAP")


def seconds_panel(setting: Setting) -> Panel | None:
    """Return the points of MAP that each defense recovers, over its seconds per image at query time, likewise.

    The seconds are 0 for a defense that does nothing at query time. It is left out where they were not kept.
    """
    return _panel(setting, _seconds, "{:.2g} s an image")


def _panel(setting: Setting, cost: Cost, unit: str) -> Panel | None:
    spots = tuple(_spots(setting, cost))
    if not spots:
        return None
    best = max(spots, key=lambda spot: spot.y.value)
    paid = unit.format(best.x.value)
    summary = f"the most is {best.y.value:.1f} points, by {best.hue} under {best.mark}, for {paid}"
    return Panel(setting.title, summary, spots=spots)


def _spots(setting: Setting, cost: Cost) -> Iterator[Spot]:
    for condition in setting.rows:
        if NONE in (condition.attack, condition.defense):
            continue
        recovered = _difference(setting, condition, setting.beside(condition, defense=NONE))
        paid = cost(setting, condition)
        if recovered and paid:
            yield Spot(*setting.printed(condition), paid, recovered)


def _clean_cost(setting: Setting, condition: Condition) -> Interval | None:
    defended = setting.beside(condition, attack=NONE)
    return _difference(setting, setting.beside(defended, defense=NONE), defended)


def _seconds(setting: Setting, condition: Condition) -> Interval | None:
    """Return the seconds; None where what took them is not known any more."""
    row = setting.rows[condition]
    seconds = cast(float | None, row.cost.get("defense_seconds_per_query"))
    if seconds is None:
        steps = [setting.evidence.steps.get(key) for key in row.steps]
        idle = all(step is not None and step.stage not in AT_QUERY_TIME for step in steps)
        return Interval(0.0, 0.0, 0.0) if idle else None
    return Interval(seconds, seconds, seconds)


def _difference(setting: Setting, first: Condition, second: Condition) -> Interval | None:
    """Return by how many points the MAP of the first is above that of the second, query by query."""
    mine, theirs = setting.sample(first, "map"), setting.sample(second, "map")
    if mine is None or theirs is None or mine.values.shape != theirs.values.shape:
        return None
    protocol = setting.rows[first].protocol
    level, resamples = cast(float, protocol["confidence"]), cast(int, protocol["resamples"])
    difference = paired_difference(mine.values, theirs.values, clusters=mine.clusters, level=level, resamples=resamples)
    return None if difference.value != difference.value else Interval(*(100 * part for part in difference))
