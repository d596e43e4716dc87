"""Charts as drawn figures: a panel for each pair of axes, and one legend for all of them."""

from __future__ import annotations

import math
from textwrap import fill
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from retbench.report.figures.axis import LETTER, scale_cost, scale_values, zero_position
from retbench.report.figures.canvas import DrawnFigure, draw_figure
from retbench.report.figures.chart import Chart, Line, Panel, ReferenceLine, ScatterPoint
from retbench.report.figures.style import SeriesStyle, legend_styles, reference_style, series_style

PANEL_WIDTH, PANEL_HEIGHT = 3.6, 2.9
"""Size of one panel with its labels, in inches."""
NARROW, WIDE, MANY = 4.8, 6.6, 9
"""Minimum width of a figure in inches: in general, and with more than `MANY` names in its legend."""
TITLE_LETTER, LINE_HEIGHT = 0.08, 0.19
"""Width of a letter of the title, and height of a line of text, in inches."""
LINE_HANDLE, MARKER_HANDLE, GAP = 0.55, 0.25, 0.17
"""Widths in a legend, in inches: the sample of a line, a single marker, and the gap between columns."""
MARKERS_PER_LINE = 7
MIN_RANGE = 1.0
"""Points of clean MAP that are shown on either side of 0 at least, so that noise does not look like a difference."""
ZERO_LINE: dict[str, Any] = {"color": "#a0a0a0", "linewidth": 0.8, "zorder": 1}
"""Style of the lines through 0 of a scatter panel."""


class _Geometry(NamedTuple):
    """The geometry of a figure.

    Attributes:
        width, height: in inches.
        title: wrapped to the width.
        columns, rows: of the grid of panels.
        legend_columns: of the legend.
        handle: width of the samples in the legend, in inches.
    """

    width: float
    height: float
    title: str
    columns: int
    rows: int
    legend_columns: int
    handle: float


def draw_chart(chart: Chart) -> DrawnFigure:
    """Return a chart as PNG and PDF, equal bytes each time.

    Bands are shaded around lines, and reference lines are dashed. A color group has its own color, dash and fill of
    markers, and a marker group its own marker shape, by their positions in the chart's lists; clean queries are a black
    line without markers, attacked queries without a defense are gray and dashed.
    """
    legend = legend_styles(chart)
    geometry = _geometry(chart, list(legend))

    def draw(figure: Figure) -> None:
        figure.suptitle(geometry.title)
        for at, panel in enumerate(chart.panels):
            axes = figure.add_subplot(geometry.rows, geometry.columns, at + 1)
            _draw_panel(axes, panel, chart, geometry.width / geometry.columns)
        if legend:
            _draw_legend(figure, legend, geometry)

    return draw_figure(geometry.width, geometry.height, draw)


def _geometry(chart: Chart, names: list[str]) -> _Geometry:
    columns = {1: 1, 2: 2, 4: 2}.get(len(chart.panels), 3)
    rows = math.ceil(len(chart.panels) / columns)
    handle = LINE_HANDLE if any(panel.lines for panel in chart.panels) else MARKER_HANDLE
    entry = handle + GAP + LETTER * max(map(len, names), default=0)
    width = max(columns * PANEL_WIDTH, NARROW if len(names) <= MANY else WIDE, entry + 0.2)
    title = fill(chart.title, int(width / TITLE_LETTER))
    legend_rows = math.ceil(len(names) / max(1, int((width - 0.2) / entry)))
    legend_columns = math.ceil(len(names) / max(1, legend_rows))
    extra_lines = title.count("\n") + max(panel.note != "" for panel in chart.panels) * rows
    height = rows * PANEL_HEIGHT + LINE_HEIGHT * (legend_rows + extra_lines + 1.5)
    return _Geometry(width, height, title, columns, rows, legend_columns, handle)


def _draw_panel(axes: Axes, panel: Panel, chart: Chart, width: float) -> None:
    axes.set_title(f"{panel.title}\n{panel.note}" if panel.note else panel.title)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(panel.y_label or chart.y_label)
    for position, line in enumerate(panel.lines):
        _draw_line(axes, line, series_style(chart, line), position)
    for reference in panel.references:
        _draw_reference(axes, reference, reference_style(chart, reference.label))
    if chart.full_percent_range:
        axes.set_ylim(-2, 102)
    if panel.lines:
        scale_values(axes, [x for line in panel.lines for x in line.xs], width, log=chart.scale == "log")
    if panel.points:
        _draw_points(axes, panel, chart)


def _draw_line(axes: Axes, line: Line, style: SeriesStyle, position: int) -> None:
    """Draw a line in its band, with some markers; the band of a single point is a stroke."""
    every = max(1, round(len(line.xs) / MARKERS_PER_LINE))
    stroke: dict[str, Any] = {"color": style.color, "ls": style.dash, "linewidth": style.width}
    axes.fill_between(line.xs, line.lows, line.highs, color=style.color, alpha=0.13, linewidth=0)
    if len(line.xs) == 1:
        axes.vlines(line.xs, line.lows, line.highs, color=style.color, linewidth=0.8, alpha=0.6)
    axes.plot(line.xs, line.values, **stroke, **_markers(style), markersize=5, markevery=(position % every, every))


def _draw_reference(axes: Axes, reference: ReferenceLine, style: SeriesStyle) -> None:
    axes.axhline(reference.value, color=style.color, ls=style.dash, linewidth=style.width, zorder=1.5)


def _draw_points(axes: Axes, panel: Panel, chart: Chart) -> None:
    """Draw the points of a panel and the lines through 0."""
    xs = [point.x.value for point in panel.points]
    zero = zero_position(xs) if chart.scale == "cost" else 0.0
    for point in panel.points:
        _draw_point(axes, point, series_style(chart, point), zero)
    axes.axhline(0, **ZERO_LINE)
    axes.margins(0.08)
    if chart.scale == "cost":
        scale_cost(axes, xs)
    else:
        axes.axvline(0, **ZERO_LINE)
        left, right = axes.get_xlim()
        axes.set_xlim(min(left, -MIN_RANGE), max(right, MIN_RANGE))


def _draw_point(axes: Axes, point: ScatterPoint, style: SeriesStyle, zero: float) -> None:
    """Draw a marker with its intervals; one whose x is 0 is drawn at the coordinate `zero`."""
    sides = ([bounds.value - bounds.low, bounds.high - bounds.value] for bounds in (point.x, point.y))
    x_errors, y_errors = ([[low], [high]] for low, high in sides)
    bars: dict[str, Any] = {"ecolor": style.color, "elinewidth": 0.8, "capsize": 0}
    markers = _markers(style, background="none")  # overlapping markers stay visible
    x = point.x.value or zero
    axes.errorbar([x], [point.y.value], xerr=x_errors, yerr=y_errors, ls="", **bars, **markers, markersize=7)


def _markers(style: SeriesStyle, background: str = "white") -> dict[str, Any]:
    """Return matplotlib's options for markers; their unfilled parts show `background`."""
    face = {
        "markerfacecolor": background if style.fill == "none" else style.color,
        "markerfacecoloralt": background,
    }
    filled = "full" if style.fill == "none" else style.fill
    return {"marker": style.shape, "fillstyle": filled, **face, "markeredgecolor": style.color, "markeredgewidth": 1.0}


def _draw_legend(figure: Figure, legend: dict[str, SeriesStyle], geometry: _Geometry) -> None:
    """Draw a sample of each style with its name, below all panels."""
    names = _by_columns(list(legend), geometry.legend_columns)
    handles = [
        Line2D([], [], color=style.color, ls=style.dash, linewidth=style.width, **_markers(style))
        for style in map(legend.__getitem__, names)
    ]
    spacing: dict[str, Any] = {"ncols": geometry.legend_columns, "borderaxespad": 0.2, "columnspacing": 1.4}
    length = 2.6 if geometry.handle > MARKER_HANDLE else 1.0
    figure.legend(handles, names, loc="outside lower center", handlelength=length, **spacing)


def _by_columns(names: list[str], columns: int) -> list[str]:
    """Return names reordered so that a legend, which fills column by column, shows them row by row."""
    rows = math.ceil(len(names) / columns)
    full = len(names) - (rows - 1) * columns or columns
    positions = [(row, column) for column in range(columns) for row in range(rows if column < full else rows - 1)]
    return [names[row * columns + column] for row, column in positions]
