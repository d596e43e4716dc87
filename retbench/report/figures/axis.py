"""The x axis of a panel: linear, logarithmic, or seconds with a separate place for 0; its limits and its ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

MARGIN = 0.04
"""Share of the axis that is left free on either side of the values."""
MAX_VALUE_TICKS = 12
"""A linear axis of at most this many values has a tick at each of them; of more, ticks at round numbers."""
LETTER = 0.07
"""Width of a letter in inches."""
BREAK = 0.7
"""Decades from the lowest power of ten down to the place of 0."""


def scale_values(axes: Axes, values: Sequence[float], width: float, *, log: bool) -> None:
    """Scale an x axis to some values, with ticks at those values whose labels have room.

    A logarithmic axis is linear between the smallest values on either side of 0 where a value is 0 or less.

    Args:
        axes: of a panel.
        values: at least one; duplicates have no effect.
        width: of the panel, in inches.
        log: whether the axis is logarithmic.
    """
    xs = sorted(set(values))
    if log and xs[0] <= 0:
        axes.set_xscale("symlog", linthresh=min((abs(x) for x in xs if x), default=1.0))
    elif log:
        axes.set_xscale("log")
    transform = axes.xaxis.get_transform()
    positions = [float(position) for position in transform.transform(xs)]
    margin = MARGIN * (positions[-1] - positions[0] or 1.0)
    axes.set_xlim(*transform.inverted().transform([positions[0] - margin, positions[-1] + margin]))
    if log or len(xs) <= MAX_VALUE_TICKS:
        inch = 0.8 * width / (positions[-1] - positions[0] + 2 * margin)
        axes.xaxis.set_major_locator(FixedLocator(_spaced_ticks(xs, [inch * position for position in positions])))
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())


def _spaced_ticks(xs: Sequence[float], positions: Sequence[float]) -> list[float]:
    """Return the first and last of ascending numbers, and those between whose labels have room.

    Args:
        xs: the numbers.
        positions: of the numbers along the axis, in inches.
    """
    halves = [(len(f"{x:g}") + 1) * LETTER / 2 for x in xs]
    ticks, end = [xs[0]], positions[0] + halves[0]
    for x, position, half in list(zip(xs, positions, halves, strict=True))[1:-1]:
        if end <= position - half and position + half <= positions[-1] - halves[-1]:
            ticks.append(x)
            end = position + half
    return [*ticks, xs[-1]]


def zero_position(seconds: Sequence[float]) -> float:
    """Return the coordinate at which a logarithmic axis of seconds shows 0; 1 where no value is above 0."""
    return float(10 ** (_decades(seconds)[0] - BREAK)) if any(value > 0 for value in seconds) else 1.0


def scale_cost(axes: Axes, seconds: Sequence[float]) -> None:
    """Scale an x axis to whole decades around some seconds, and to 0 behind a break where one of them is 0."""
    has_positive, has_zero = any(value > 0 for value in seconds), any(value <= 0 for value in seconds)
    zero = zero_position(seconds)
    first, last = _decades(seconds) if has_positive else (-1, -1)
    ticks = {zero: "0"} if has_zero else {}
    if has_positive:
        ticks |= {10.0**power: f"{10.0**power:g}" for power in range(first, last + 1)}
    axes.set_xscale("log")
    axes.set_xlim(min(ticks) / 1.7, max(ticks) * 1.7)
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_major_formatter(lambda x, _: next((text for at, text in ticks.items() if math.isclose(at, x)), ""))
    axes.xaxis.set_minor_locator(NullLocator())
    if has_positive and has_zero:
        _draw_break(axes, 10.0 ** (first - BREAK / 2))


def _decades(seconds: Sequence[float]) -> tuple[int, int]:
    """Return the powers of ten around the seconds above 0; at least one must be above 0."""
    powers = [math.log10(value) for value in seconds if value > 0]
    first = math.floor(min(powers))
    return first, max(first + 1, math.ceil(max(powers)))


def _draw_break(axes: Axes, x: float) -> None:
    """Draw two strokes across the axis, and a gap between them."""
    transform = axes.get_xaxis_transform()
    axes.plot([x / 1.07, x * 1.07], [0, 0], color="white", linewidth=2.5, transform=transform, clip_on=False, zorder=3)
    for at in (x / 1.07, x * 1.07):
        stroke = [(-0.5, -1.0), (0.5, 1.0)]
        axes.plot(
            [at], [0], marker=stroke, markersize=7, color="black", ls="", transform=transform, clip_on=False, zorder=4
        )
