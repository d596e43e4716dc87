"""Charts as pictures: a panel for each dataset and hasher, and one legend for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import fill
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from retbench.report.figures.canvas import Drawn, paint
from retbench.report.figures.chart import Chart, Line, Panel, Spot
from retbench.report.figures.cost_axis import scale_cost, zero_place
from retbench.report.figures.figure import (
    COLOURS,
    HANDLE,
    LETTER,
    LINE_HEIGHT,
    MARKERS,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    TITLE_LETTER,
)

DEFENSE_COLOURS = COLOURS[:6]
SAMPLE, SHAPES = MARKERS[0], MARKERS[1:]
"""Marks of a defense in the legend, and of attacks: a shape that no attack has says nothing of one."""
CLEAN, BARE = "#000000", "#707070"
"""Of clean queries, and of attacked ones without a defense."""
FILLS: tuple[Any, ...] = ("full", "none", "left", "bottom", "right", "top")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (7, 1.5, 1.5, 1.5)),
    (0, (1.5, 1.2)),
    (0, (7, 1.5, 1.5, 1.5, 1.5, 1.5)),
    (0, (10, 2)),
    (0, (4, 1)),
)
UNDEFENDED = (0, (3, 2))
MARKS_PER_LINE = 7
DOT, GAP = 0.25, 0.17
"""Inches that a single mark takes in a legend, and what is left between its columns."""
NARROWEST = 1.0
"""Points of clean MAP that are shown on either side of 0 at least: less is noise, and would look like a difference."""


class Look(NamedTuple):
    """What tells a defense from others: a colour, and, as colours are not for all, a dash and the fill of its marks."""

    colour: str
    dash: Any
    fill: Any


def draw_chart(chart: Chart) -> Drawn:
    """Returns a chart as PNG and PDF, equal bytes each time.

    A defense has its colour, dash and fill of marks, and an attack the shape of its marks, by their places in the
    chart's lists; clean queries are a black line without marks, attacked ones without a defense grey and dashed.
    """
    across = {1: 1, 2: 2, 4: 2}.get(len(chart.panels), 3)
    down = math.ceil(len(chart.panels) / across)
    legend = _legend(chart)
    width = max(across * PANEL_WIDTH, 4.8 if len(legend) <= 9 else 6.6)
    title = fill(chart.title, int(width / TITLE_LETTER))
    handle = HANDLE if any(panel.lines for panel in chart.panels) else DOT
    entry = handle + GAP + LETTER * max(len(name) for name in legend)
    rows = math.ceil(len(legend) / max(1, int((width - 0.2) / entry)))
    beside = math.ceil(len(legend) / rows)
    above = title.count("\n") + max(panel.note != "" for panel in chart.panels) * down
    height = down * PANEL_HEIGHT + LINE_HEIGHT * (rows + above + 1.5)

    def draw(figure: Figure) -> None:
        figure.suptitle(title)
        for at, panel in enumerate(chart.panels):
            _paint_panel(figure.add_subplot(down, across, at + 1), panel, chart)
        names = _by_columns(list(legend), beside)
        handles = [legend[name] for name in names]
        room: dict[str, Any] = {"ncols": beside, "borderaxespad": 0.2, "columnspacing": 1.4}
        figure.legend(handles, names, loc="outside lower center", handlelength=2.6 if handle > DOT else 1.0, **room)

    return paint(width, height, draw)


def _look(chart: Chart, defense: str) -> Look:
    """Returns the look of a defense: colours and the others come again in another pairing after six."""
    if not defense:
        return Look(BARE, UNDEFENDED, "full")
    place = chart.defenses.index(defense)
    turn = (place + place // len(DEFENSE_COLOURS)) % len(FILLS)
    return Look(DEFENSE_COLOURS[place % len(DEFENSE_COLOURS)], DASHES[turn], FILLS[turn])


def _shape(chart: Chart, attack: str) -> str:
    return SHAPES[chart.attacks.index(attack) % len(SHAPES)] if attack else ""


def _paint_panel(axes: Axes, panel: Panel, chart: Chart) -> None:
    axes.set_title(f"{panel.title}\n{panel.note}" if panel.note else panel.title)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    for place, line in enumerate(panel.lines):
        _paint_line(axes, line, chart, place)
    zero = zero_place([spot.x.value for spot in panel.spots]) if chart.scale == "cost" else 0.0
    for spot in panel.spots:
        _paint_spot(axes, spot, chart, zero)
    if panel.level is not None:
        axes.axhline(panel.level, **LEVEL_LINE)
    if chart.whole:
        axes.set_ylim(-2, 102)
    if panel.lines:
        _scale_lines(axes, panel.lines, chart)
    else:
        axes.axhline(0, color="#a0a0a0", linewidth=0.8, zorder=1)
        axes.margins(0.08)
    if chart.scale == "cost":
        scale_cost(axes, [spot.x.value for spot in panel.spots])
    elif panel.spots:
        axes.axvline(0, color="#a0a0a0", linewidth=0.8, zorder=1)
        left, right = axes.get_xlim()
        axes.set_xlim(min(left, -NARROWEST), max(right, NARROWEST))


LEVEL_LINE: dict[str, Any] = {"color": CLEAN, "ls": (0, (1, 2.5)), "linewidth": 1.2, "zorder": 1.5}


def _paint_line(axes: Axes, line: Line, chart: Chart, place: int) -> None:
    clean = not line.attack and not line.defense
    colour, dash, fill_style = Look(CLEAN, "-", "full") if clean else _look(chart, line.defense)
    every = max(1, round(len(line.xs) / MARKS_PER_LINE))
    style: dict[str, Any] = {"color": colour, "ls": dash, "linewidth": 1.8 if clean else 1.4}
    marks = {**_marks(colour, _shape(chart, line.attack), fill_style), "markersize": 5}
    axes.fill_between(line.xs, line.lows, line.highs, color=colour, alpha=0.13, linewidth=0)
    axes.plot(line.xs, line.values, **style, **marks, markevery=(place % every, every))


def _paint_spot(axes: Axes, spot: Spot, chart: Chart, zero: float) -> None:
    """Paints a mark with its intervals; one at 0 stands at the place of 0, and has none along x."""
    look = _look(chart, spot.defense)
    sides = ([part.value - part.low, part.high - part.value] for part in (spot.x, spot.y))
    across, along = ([[low], [high]] for low, high in sides)
    marks = _marks(look.colour, _shape(chart, spot.attack), look.fill, "none")  # what lies beneath is seen
    bars: dict[str, Any] = {"ecolor": look.colour, "elinewidth": 0.8, "capsize": 0}
    axes.errorbar([spot.x.value or zero], [spot.y.value], xerr=across, yerr=along, ls="", **bars, **marks, markersize=7)


def _marks(colour: str, shape: str, fill_style: Any, ground: str = "white") -> dict[str, Any]:
    """Returns how marks are drawn; where they are not filled they show `ground`."""
    face = {"markerfacecolor": ground if fill_style == "none" else colour, "markerfacecoloralt": ground}
    filled = "full" if fill_style == "none" else fill_style
    return {"marker": shape, "fillstyle": filled, **face, "markeredgecolor": colour, "markeredgewidth": 1.0}


def _scale_lines(axes: Axes, lines: Sequence[Line], chart: Chart) -> None:
    xs = sorted({x for line in lines for x in line.xs})
    if chart.scale == "log":
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(_apart(xs)))
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(xs[0] - 0.02 * xs[-1], 1.02 * xs[-1])


def _apart(xs: Sequence[float]) -> list[float]:
    """Returns the ends of ascending positive numbers, and those between that leave room for ticks on a log axis."""
    room = math.log(xs[-1] / xs[0]) / 8
    ticks = [xs[0]]
    for x in xs:
        if min(math.log(x / ticks[-1]), math.log(xs[-1] / x)) >= room:
            ticks.append(x)
    return [*ticks, xs[-1]]


def _legend(chart: Chart) -> dict[str, Artist]:
    """Returns a sample of each thing that is drawn, by name: kinds of lines, then defenses, then attacks."""
    lines = [line for panel in chart.panels for line in panel.lines]
    things: list[Line | Spot] = [*lines, *(spot for panel in chart.panels for spot in panel.spots)]
    legend: dict[str, Artist] = {}
    if any(not thing.attack and not thing.defense for thing in things):
        legend["clean queries"] = Line2D([], [], color=CLEAN, linewidth=1.8)
    if any(thing.attack and not thing.defense for thing in things):
        legend["no defense"] = Line2D([], [], color=BARE, ls=UNDEFENDED, linewidth=1.4)
    if any(panel.level is not None for panel in chart.panels):
        legend[chart.level] = Line2D([], [], **LEVEL_LINE)
    for defense in chart.defenses:
        if any(thing.defense == defense for thing in things):
            look = _look(chart, defense)
            dash = look.dash if lines else ""
            marked = any(thing.attack for thing in things if thing.defense == defense)
            shape = SAMPLE if marked else ""
            legend[defense] = Line2D(
                [], [], color=look.colour, ls=dash, linewidth=1.4, **_marks(look.colour, shape, look.fill)
            )
    for attack in chart.attacks:
        if any(thing.attack == attack for thing in things):
            legend[attack] = Line2D([], [], ls="", **_marks(BARE, _shape(chart, attack), "full"))
    return legend


def _by_columns(names: list[str], columns: int) -> list[str]:
    """Returns names in the order that a legend, which fills column by column, puts them row by row."""
    rows = math.ceil(len(names) / columns)
    full = len(names) - (rows - 1) * columns or columns
    places = [(row, column) for column in range(columns) for row in range(rows if column < full else rows - 1)]
    return [names[row * columns + column] for row, column in places]
