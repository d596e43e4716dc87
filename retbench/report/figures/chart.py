"""A figure as data, in the units that are printed: what is drawn, without how."""

from __future__ import annotations

from typing import Literal, NamedTuple

from retbench.metrics import Interval

Scale = Literal["linear", "log", "cost"]
"""Of the x axis; `cost` is logarithmic, with a place of its own for 0."""


class Line(NamedTuple):
    """A line with a band around it, under an attack and behind a defense: as printed, empty where there is none."""

    attack: str
    defense: str
    xs: tuple[float, ...]
    values: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]


class Spot(NamedTuple):
    """A defense under an attack, as printed, as a point with an interval in both directions."""

    attack: str
    defense: str
    x: Interval
    y: Interval


class Panel(NamedTuple):
    """One dataset and hasher.

    Attributes:
        title: what it is called.
        told: what it shows, in numbers, for who cannot see it.
        lines, spots: what is drawn; never both empty.
        note: which lines were left out, where any were.
        level: a height to compare with, where there is one.
    """

    title: str
    told: str
    lines: tuple[Line, ...] = ()
    spots: tuple[Spot, ...] = ()
    note: str = ""
    level: float | None = None


class Chart(NamedTuple):
    """One picture.

    Attributes:
        title: what stands above it.
        x_label, y_label: what stands along its axes, with units.
        scale: of the x axis.
        whole: the y axis is the whole of 0 to 100 percent.
        level: what the panels' levels are called.
        panels: one at least.
        attacks, defenses: the printed names of the report's, in order: a place decides the look in every picture.
    """

    title: str
    x_label: str
    y_label: str
    scale: Scale
    whole: bool
    level: str
    panels: tuple[Panel, ...]
    attacks: tuple[str, ...]
    defenses: tuple[str, ...]
