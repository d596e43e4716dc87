"""The x axis of a panel: linear, logarithmic, or seconds with a place of its own for none; its limits and its ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

MARGIN = 0.04
"""Share of the axis that is left on either side of the values."""
NAMED = 12
"""As many values have ticks of their own on a linear axis; where there are more, ticks are round numbers."""
LETTER = 0.07
"""Inches that a letter is wide."""
BREAK = 0.7
"""Decades from the least power of ten down to the place of 0."""


def scale_values(axes: Axes, values: Sequence[float], width: float, *, log: bool) -> None:
    """Scale an x axis to some values, with ticks at those of them whose numbers have room.

    A logarithmic axis is linear between the smallest values beside 0, on both sides of it, where one is 0 or less.

    Args:
        axes: of a panel.
        values: at least one; of several that are equal one counts.
        width: of the panel, in inches.
        log: the axis is logarithmic.
    """
    xs = sorted(set(values))
    if log and xs[0] <= 0:
        axes.set_xscale("symlog", linthresh=min((abs(x) for x in xs if x), default=1.0))
    elif log:
        axes.set_xscale("log")
    along = axes.xaxis.get_transform()
    places = [float(place) for place in along.transform(xs)]
    margin = MARGIN * (places[-1] - places[0] or 1.0)
    axes.set_xlim(*along.inverted().transform([places[0] - margin, places[-1] + margin]))
    if log or len(xs) <= NAMED:
        inch = 0.8 * width / (places[-1] - places[0] + 2 * margin)
        axes.xaxis.set_major_locator(FixedLocator(_apart(xs, [inch * place for place in places])))
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())


def _apart(xs: Sequence[float], places: Sequence[float]) -> list[float]:
    """Return the ends of ascending numbers, and those between whose texts have room at their places, in inches."""
    halves = [(len(f"{x:g}") + 1) * LETTER / 2 for x in xs]
    ticks, taken = [xs[0]], places[0] + halves[0]
    for x, place, half in list(zip(xs, places, halves, strict=True))[1:-1]:
        if taken <= place - half and place + half <= places[-1] - halves[-1]:
            ticks.append(x)
            taken = place + half
    return [*ticks, xs[-1]]


def zero_place(seconds: Sequence[float]) -> float:
    """Return the place of 0 on a logarithmic axis of some seconds; 1 where none of them is above 0."""
    return float(10 ** (_decades(seconds)[0] - BREAK)) if any(part > 0 for part in seconds) else 1.0


def scale_cost(axes: Axes, seconds: Sequence[float]) -> None:
    """Scale an x axis to whole decades around some seconds, and to 0 behind a break where one of them is 0."""
    some, none = any(part > 0 for part in seconds), any(part <= 0 for part in seconds)
    zero = zero_place(seconds)
    first, last = _decades(seconds) if some else (-1, -1)
    ticks = {zero: "0"} if none else {}
    if some:
        ticks |= {10.0**power: f"{10.0**power:g}" for power in range(first, last + 1)}
    axes.set_xscale("log")
    axes.set_xlim(min(ticks) / 1.7, max(ticks) * 1.7)
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_major_formatter(lambda x, _: next((text for at, text in ticks.items() if math.isclose(at, x)), ""))
    axes.xaxis.set_minor_locator(NullLocator())
    if some and none:
        _paint_break(axes, 10.0 ** (first - BREAK / 2))


def _decades(seconds: Sequence[float]) -> tuple[int, int]:
    """Return the powers of ten around the seconds above 0; there must be some."""
    powers = [math.log10(part) for part in seconds if part > 0]
    first = math.floor(min(powers))
    return first, max(first + 1, math.ceil(max(powers)))


def _paint_break(axes: Axes, x: float) -> None:
    """Paint two strokes across the axis, and a gap between them."""
    along = axes.get_xaxis_transform()
    axes.plot([x / 1.07, x * 1.07], [0, 0], color="white", linewidth=2.5, transform=along, clip_on=False, zorder=3)
    for at in (x / 1.07, x * 1.07):
        stroke = [(-0.5, -1.0), (0.5, 1.0)]
        axes.plot(
            [at], [0], marker=stroke, markersize=7, color="black", ls="", transform=along, clip_on=False, zorder=4
        )
