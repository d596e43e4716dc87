"""A chart as data, in printed units: what is drawn; `drawing` decides how."""

from __future__ import annotations

from typing import Literal, NamedTuple

from retbench.metrics import Interval

Scale = Literal["linear", "log", "cost"]
"""The scale of the x axis.

`log` is linear between the smallest values on either side of 0 where a value is 0 or less; `cost` is logarithmic, with
a separate place for 0.
"""


class Line(NamedTuple):
    """A line with a band around it.

    Attributes:
        marker_group, color_group: printed names that decide the style (see `Chart`), for example those of an attack
            and a defense; empty where there is none.
        xs: ascending.
        values, lows, highs: one for each x.
    """

    marker_group: str
    color_group: str
    xs: tuple[float, ...]
    values: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]


class ScatterPoint(NamedTuple):
    """A point with an interval in both directions; `marker_group` and `color_group` as for a line."""

    marker_group: str
    color_group: str
    x: Interval
    y: Interval


class ReferenceLine(NamedTuple):
    """A horizontal line to compare with, and its name in the legend."""

    label: str
    value: float


class Panel(NamedTuple):
    """One pair of axes.

    Attributes:
        title: printed above it; empty for none.
        summary: its content in numbers, for readers who cannot see it.
        lines, points: its content; at least one of the two is not empty.
        references: horizontal lines to compare with.
        note: describes which lines were left out, if any.
        y_label: the label of its y axis, with the unit, if the panels of a chart have different ones.
    """

    title: str
    summary: str
    lines: tuple[Line, ...] = ()
    points: tuple[ScatterPoint, ...] = ()
    references: tuple[ReferenceLine, ...] = ()
    note: str = ""
    y_label: str = ""

    @property
    def series(self) -> tuple[Line | ScatterPoint, ...]:
        """Its lines, then its points."""
        return (*self.lines, *self.points)


class Chart(NamedTuple):
    """One figure.

    Attributes:
        title: printed above it.
        x_label, y_label: axis labels, with units.
        scale: of the x axis.
        full_percent_range: the y axis covers 0 to 100 percent.
        panels: at least one.
        color_groups: ordered names; the position of a name decides the color, dash and fill of every series with that
            `color_group`. A series without one of these groups shows clean queries or, with a `marker_group`, attacked
            queries without a defense.
        marker_groups: ordered names; the position of a name decides the shape of markers. None if a chart has color
            groups alone: then each has its own shape and a solid line.
    """

    title: str
    x_label: str
    y_label: str
    scale: Scale
    full_percent_range: bool
    panels: tuple[Panel, ...]
    color_groups: tuple[str, ...]
    marker_groups: tuple[str, ...] | None

    @property
    def series(self) -> tuple[Line | ScatterPoint, ...]:
        """The lines and points of all panels."""
        return tuple(series for panel in self.panels for series in panel.series)

    @property
    def reference_labels(self) -> tuple[str, ...]:
        """The distinct labels of the reference lines of all panels."""
        return tuple(dict.fromkeys(reference.label for panel in self.panels for reference in panel.references))
