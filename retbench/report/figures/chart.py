"""A figure as data, in the units that are printed: what is drawn, without how."""

from __future__ import annotations

from typing import Literal, NamedTuple

from retbench.metrics import Interval

Scale = Literal["linear", "log", "cost"]
"""Of the x axis.

`log` is linear between the smallest values beside 0 where a value is 0 or less; `cost` is logarithmic, with a place of
its own for 0.
"""


class Line(NamedTuple):
    """A line with a band around it.

    Attributes:
        mark, hue: the printed names that decide its looks (see `Chart`), such as those of an attack and a defense;
            empty where there is none.
        xs: from the lowest up.
        values, lows, highs: one for each x.
    """

    mark: str
    hue: str
    xs: tuple[float, ...]
    values: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]


class Spot(NamedTuple):
    """A point with an interval in both directions; `mark` and `hue` as for a line."""

    mark: str
    hue: str
    x: Interval
    y: Interval


class Level(NamedTuple):
    """A height to compare with, and its name in the legend."""

    label: str
    value: float


class Panel(NamedTuple):
    """One pair of axes.

    Attributes:
        title: printed above it; empty for none.
        summary: its content in numbers, for readers who cannot see it.
        lines, spots: its content; never both empty.
        levels: heights to compare with.
        note: which lines were left out, where any were.
        y_label: printed along its y axis, with the unit, where the panels of a chart differ in it.
    """

    title: str
    summary: str
    lines: tuple[Line, ...] = ()
    spots: tuple[Spot, ...] = ()
    levels: tuple[Level, ...] = ()
    note: str = ""
    y_label: str = ""

    @property
    def things(self) -> tuple[Line | Spot, ...]:
        """Its lines, then its spots."""
        return (*self.lines, *self.spots)


class Chart(NamedTuple):
    """One picture.

    Attributes:
        title: printed above it.
        x_label, y_label: printed along its axes, with units.
        scale: of the x axis.
        whole: the y axis is the whole of 0 to 100 percent.
        panels: one at least.
        hues: names in order; the place of a name decides the color, dash and fill of all that has it as `hue`. Without
            a hue from this list, a line is of clean queries or, with a mark, of attacked ones without a defense.
        marks: names in order; the place of a name decides the shape of marks. None where there are hues alone: then
            each has a shape of its own, and a solid line.
    """

    title: str
    x_label: str
    y_label: str
    scale: Scale
    whole: bool
    panels: tuple[Panel, ...]
    hues: tuple[str, ...]
    marks: tuple[str, ...] | None

    @property
    def things(self) -> tuple[Line | Spot, ...]:
        """The lines and spots of all panels."""
        return tuple(thing for panel in self.panels for thing in panel.things)

    @property
    def level_labels(self) -> tuple[str, ...]:
        """The labels of the levels of all panels, each once."""
        return tuple(dict.fromkeys(level.label for panel in self.panels for level in panel.levels))
