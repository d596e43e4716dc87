"""A logarithmic axis of seconds with a place of its own for what takes none."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

BREAK = 0.7
"""Decades from the least power of ten down to the place of 0."""


def zero_place(seconds: Sequence[float]) -> float:
    """Returns where 0 stands on a logarithmic axis of some seconds; 1 where none of them is above 0."""
    return float(10 ** (_decades(seconds)[0] - BREAK)) if any(part > 0 for part in seconds) else 1.0


def scale_cost(axes: Axes, seconds: Sequence[float]) -> None:
    """Scales an x axis to whole decades around some seconds, and to 0 behind a break where one of them is 0."""
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
    """Returns the powers of ten around the seconds above 0, which must be some."""
    powers = [math.log10(part) for part in seconds if part > 0]
    first = math.floor(min(powers))
    return first, max(first + 1, math.ceil(max(powers)))


def _paint_break(axes: Axes, x: float) -> None:
    """Paints two strokes across the axis, and a gap between them."""
    along = axes.get_xaxis_transform()
    axes.plot([x / 1.07, x * 1.07], [0, 0], color="white", linewidth=2.5, transform=along, clip_on=False, zorder=3)
    for at in (x / 1.07, x * 1.07):
        stroke = [(-0.5, -1.0), (0.5, 1.0)]
        axes.plot(
            [at], [0], marker=stroke, markersize=7, color="black", ls="", transform=along, clip_on=False, zorder=4
        )
