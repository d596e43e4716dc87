"""Charts as pictures: a panel for each pair of axes, and one legend for all of them."""

from __future__ import annotations

import math
from textwrap import fill
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from retbench.report.figures.axis import LETTER, scale_cost, scale_values, zero_place
from retbench.report.figures.canvas import Drawn, paint
from retbench.report.figures.chart import Chart, Level, Line, Panel, Spot
from retbench.report.figures.look import Look, legend_looks, level_look, look_of

PANEL_WIDTH, PANEL_HEIGHT = 3.6, 2.9
"""Inches of one panel with its labels."""
NARROW, WIDE, MANY = 4.8, 6.6, 9
"""Inches that a picture is wide at least, and one with more than so many names in its legend."""
TITLE_LETTER, LINE_HEIGHT = 0.08, 0.19
"""Inches that a letter of the title is wide, and a line of text is high."""
HANDLE, DOT, GAP = 0.55, 0.25, 0.17
"""Inches that a sample of a line and a single mark take in a legend, and what is left between its columns."""
MARKS_PER_LINE = 7
NARROWEST = 1.0
"""Points of clean MAP that are shown on either side of 0 at least: less is noise, and would look like a difference."""
AXIS: dict[str, Any] = {"color": "#a0a0a0", "linewidth": 0.8, "zorder": 1}
"""Look of the lines through 0 of a panel of spots."""


class _Sheet(NamedTuple):
    """The size of a picture in inches, its wrapped title, its grid of panels, and its legend's columns and handles."""

    width: float
    height: float
    title: str
    across: int
    down: int
    beside: int
    handle: float


def draw_chart(chart: Chart) -> Drawn:
    """Return a chart as PNG and PDF, equal bytes each time: bands shaded around its lines, levels dashed across.

    A hue has its color, dash and fill of marks, and a mark its shape, by their places in the chart's lists; clean
    queries are a black line without marks, attacked ones without a defense gray and dashed.
    """
    legend = legend_looks(chart)
    sheet = _sheet(chart, list(legend))

    def draw(figure: Figure) -> None:
        figure.suptitle(sheet.title)
        for at, panel in enumerate(chart.panels):
            axes = figure.add_subplot(sheet.down, sheet.across, at + 1)
            _paint_panel(axes, panel, chart, sheet.width / sheet.across)
        if legend:
            _paint_legend(figure, legend, sheet)

    return paint(sheet.width, sheet.height, draw)


def _sheet(chart: Chart, names: list[str]) -> _Sheet:
    across = {1: 1, 2: 2, 4: 2}.get(len(chart.panels), 3)
    down = math.ceil(len(chart.panels) / across)
    handle = HANDLE if any(panel.lines for panel in chart.panels) else DOT
    entry = handle + GAP + LETTER * max(map(len, names), default=0)
    width = max(across * PANEL_WIDTH, NARROW if len(names) <= MANY else WIDE, entry + 0.2)
    title = fill(chart.title, int(width / TITLE_LETTER))
    rows = math.ceil(len(names) / max(1, int((width - 0.2) / entry)))
    beside = math.ceil(len(names) / max(1, rows))
    above = title.count("\n") + max(panel.note != "" for panel in chart.panels) * down
    return _Sheet(width, down * PANEL_HEIGHT + LINE_HEIGHT * (rows + above + 1.5), title, across, down, beside, handle)


def _paint_panel(axes: Axes, panel: Panel, chart: Chart, width: float) -> None:
    axes.set_title(f"{panel.title}\n{panel.note}" if panel.note else panel.title)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(panel.y_label or chart.y_label)
    for place, line in enumerate(panel.lines):
        _paint_line(axes, line, look_of(chart, line), place)
    for level in panel.levels:
        _paint_level(axes, level, level_look(chart, level.label))
    if chart.whole:
        axes.set_ylim(-2, 102)
    if panel.lines:
        scale_values(axes, [x for line in panel.lines for x in line.xs], width, log=chart.scale == "log")
    if panel.spots:
        _paint_spots(axes, panel, chart)


def _paint_line(axes: Axes, line: Line, look: Look, place: int) -> None:
    """Paint a line in its band, with some marks; the band of a single point is a stroke."""
    every = max(1, round(len(line.xs) / MARKS_PER_LINE))
    style: dict[str, Any] = {"color": look.color, "ls": look.dash, "linewidth": look.width}
    axes.fill_between(line.xs, line.lows, line.highs, color=look.color, alpha=0.13, linewidth=0)
    if len(line.xs) == 1:
        axes.vlines(line.xs, line.lows, line.highs, color=look.color, linewidth=0.8, alpha=0.6)
    axes.plot(line.xs, line.values, **style, **_marks(look), markersize=5, markevery=(place % every, every))


def _paint_level(axes: Axes, level: Level, look: Look) -> None:
    axes.axhline(level.value, color=look.color, ls=look.dash, linewidth=look.width, zorder=1.5)


def _paint_spots(axes: Axes, panel: Panel, chart: Chart) -> None:
    """Paint the spots of a panel and the lines through 0 that they are compared with."""
    xs = [spot.x.value for spot in panel.spots]
    zero = zero_place(xs) if chart.scale == "cost" else 0.0
    for spot in panel.spots:
        _paint_spot(axes, spot, look_of(chart, spot), zero)
    axes.axhline(0, **AXIS)
    axes.margins(0.08)
    if chart.scale == "cost":
        scale_cost(axes, xs)
    else:
        axes.axvline(0, **AXIS)
        left, right = axes.get_xlim()
        axes.set_xlim(min(left, -NARROWEST), max(right, NARROWEST))


def _paint_spot(axes: Axes, spot: Spot, look: Look, zero: float) -> None:
    """Paint a mark with its intervals; one at 0 is painted at the place of 0, and has none along x."""
    sides = ([part.value - part.low, part.high - part.value] for part in (spot.x, spot.y))
    across, along = ([[low], [high]] for low, high in sides)
    bars: dict[str, Any] = {"ecolor": look.color, "elinewidth": 0.8, "capsize": 0}
    marks = _marks(look, ground="none")  # what lies beneath is seen
    axes.errorbar([spot.x.value or zero], [spot.y.value], xerr=across, yerr=along, ls="", **bars, **marks, markersize=7)


def _marks(look: Look, ground: str = "white") -> dict[str, Any]:
    """Return how marks are drawn; where they are not filled they show `ground`."""
    face = {"markerfacecolor": ground if look.fill == "none" else look.color, "markerfacecoloralt": ground}
    filled = "full" if look.fill == "none" else look.fill
    return {"marker": look.shape, "fillstyle": filled, **face, "markeredgecolor": look.color, "markeredgewidth": 1.0}


def _paint_legend(figure: Figure, legend: dict[str, Look], sheet: _Sheet) -> None:
    """Paint a sample of each look with its name, under all panels."""
    names = _by_columns(list(legend), sheet.beside)
    handles = [
        Line2D([], [], color=look.color, ls=look.dash, linewidth=look.width, **_marks(look))
        for look in map(legend.__getitem__, names)
    ]
    room: dict[str, Any] = {"ncols": sheet.beside, "borderaxespad": 0.2, "columnspacing": 1.4}
    length = 2.6 if sheet.handle > DOT else 1.0
    figure.legend(handles, names, loc="outside lower center", handlelength=length, **room)


def _by_columns(names: list[str], columns: int) -> list[str]:
    """Return names in the order that a legend, which fills column by column, puts them row by row."""
    rows = math.ceil(len(names) / columns)
    full = len(names) - (rows - 1) * columns or columns
    places = [(row, column) for column in range(columns) for row in range(rows if column < full else rows - 1)]
    return [names[row * columns + column] for row, column in places]
