"""MAP that a defense recovers under attack, over its cost: MAP lost on clean queries, or seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from retbench.metrics import Interval, paired_difference
from retbench.report.figures.chart import Panel, ScatterPoint
from retbench.report.figures.panel_data import NONE, Condition, PanelData

AT_QUERY_TIME = frozenset({"purify", "certify"})
"""The stages of a defense that take time for each query."""

Cost = Callable[[PanelData, Condition], Interval | None]


def robustness_panel(data: PanelData) -> Panel | None:
    """Return the points of MAP that each defense recovers under each attack, over the points it costs clean queries.

    Both are means of paired differences over queries, in points (percent of MAP), with the intervals of the tables. A
    defense is left out if clean or attacked queries were not scored both with and without it; None if all are left out.
    """
    return _panel(data, _clean_cost, "{:z.2f} points of clean MAP")


def seconds_panel(data: PanelData) -> Panel | None:
    """Return the points of MAP that each defense recovers, over its seconds per image at query time.

    The seconds are 0 for a defense without work at query time. A defense is left out if its seconds were not stored;
    None if all are left out.
    """
    return _panel(data, _seconds, "{:.2g} s per image")


def _panel(data: PanelData, cost: Cost, unit: str) -> Panel | None:
    points = tuple(_points(data, cost))
    if not points:
        return None
    best = max(points, key=lambda point: point.y.value)
    paid = unit.format(best.x.value)
    summary = f"largest gain {best.y.value:.1f} points, by {best.color_group} under {best.marker_group}, at {paid}"
    return Panel(data.title, summary, points=points)


def _points(data: PanelData, cost: Cost) -> Iterator[ScatterPoint]:
    for condition in data.rows:
        if NONE in (condition.attack, condition.defense):
            continue
        recovered = _difference(data, condition, data.baseline(condition, defense=NONE))
        paid = cost(data, condition)
        if recovered and paid:
            yield ScatterPoint(*data.printed_names(condition), paid, recovered)


def _clean_cost(data: PanelData, condition: Condition) -> Interval | None:
    defended = data.baseline(condition, attack=NONE)
    return _difference(data, data.baseline(defended, defense=NONE), defended)


def _seconds(data: PanelData, condition: Condition) -> Interval | None:
    """Return the seconds; None if the steps that took them are not stored."""
    row = data.rows[condition]
    seconds = cast(float | None, row.cost.get("defense_seconds_per_query"))
    if seconds is None:
        steps = [data.evidence.steps.get(key) for key in row.steps]
        idle = all(step is not None and step.stage not in AT_QUERY_TIME for step in steps)
        return Interval(0.0, 0.0, 0.0) if idle else None
    return Interval(seconds, seconds, seconds)


def _difference(data: PanelData, first: Condition, second: Condition) -> Interval | None:
    """Return the mean paired difference in MAP, first less second, in points."""
    first_sample, second_sample = data.sample(first, "map"), data.sample(second, "map")
    if first_sample is None or second_sample is None or first_sample.values.shape != second_sample.values.shape:
        return None
    protocol = data.rows[first].protocol
    level, resamples = cast(float, protocol["confidence"]), cast(int, protocol["resamples"])
    difference = paired_difference(
        first_sample.values, second_sample.values, clusters=first_sample.clusters, level=level, resamples=resamples
    )
    return None if difference.value != difference.value else Interval(*(100 * bound for bound in difference))
