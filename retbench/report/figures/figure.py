"""Curves as pictures: one panel for each metric, and one legend for all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from textwrap import fill
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from retbench.report.figures.canvas import paint, paint_png
from retbench.report.figures.picture import Picture
from retbench.report.tables.curve import Curve, Level, Line, Panel

# Okabe and Ito (2008), Color Universal Design: told apart by colour-blind readers; yellow is too pale for white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREYS = ("#404040", "#808080")
DASHES: tuple[Any, ...] = ((0, (6, 3)), (0, (2, 2)), (0, (6, 2, 1, 2)))

PANEL_WIDTH, PANEL_HEIGHT = 3.6, 2.9
"""Inches of one panel with its labels."""
LETTER, TITLE_LETTER, LINE_HEIGHT, HANDLE = 0.07, 0.08, 0.19, 0.55
"""Inches that letters are wide, a line of text is high, and a sample of a line takes in a legend."""


class _Sheet(NamedTuple):
    """A size in inches, and what is painted on it."""

    width: float
    height: float
    paint: Callable[[Figure], None]


def draw_curve(curve: Curve) -> bytes:
    """Returns a curve as PNG: shaded bootstrap intervals around its lines, dashed levels across; equal bytes each time.

    The x axis is logarithmic where the curve says so. Where a value is 0 or less it is linear between the smallest
    values beside 0, on both sides of it, and logarithmic outside.
    """
    return paint_png(*_sheet(curve))


def curve_picture(curve: Curve, stem: str) -> Picture:
    """Returns a curve as a picture of a report: as `draw_curve` has it, as PDF too, with its ends told in words."""
    return Picture(stem, curve.title, _alt(curve), *paint(*_sheet(curve)))


def _alt(curve: Curve) -> str:
    told = [f"Lines over {curve.x_label}, with bootstrap intervals shaded."]
    for panel in curve.panels:
        scale, symbol = panel.unit.scale, panel.unit.symbol
        lines = (f"{line.label or 'it'} {_ends(line, scale, symbol)}" for line in panel.lines)
        levels = (
            f"{level.label or 'to compare with'} {scale * level.interval.value:.4g} {symbol}" for level in panel.levels
        )
        told.append(f"{panel.label}: {', '.join((*lines, *levels))}.")
    return " ".join(told)


def _ends(line: Line, scale: float, symbol: str) -> str:
    first, last = line.readings[0], line.readings[-1]
    begin = f"{scale * first.interval.value:.4g} {symbol} at {first.x:g}"
    return begin if first is last else f"from {begin} to {scale * last.interval.value:.4g} {symbol} at {last.x:g}"


def _sheet(curve: Curve) -> _Sheet:
    names = list(dict.fromkeys(line.label for panel in curve.panels for line in panel.lines))
    levels = list(dict.fromkeys(level.label for panel in curve.panels for level in panel.levels))
    across = len(curve.panels) if len(curve.panels) <= 3 else 2
    down = math.ceil(len(curve.panels) / across)
    width = max(across * PANEL_WIDTH, 4.8, HANDLE + LETTER * max(len(name) for name in (*names, *levels)) + 0.4)
    title = fill(curve.title, int(width / TITLE_LETTER))
    beside = _beside([*names, *levels], width)
    legend = math.ceil(len([name for name in (*names, *levels) if name]) / beside)
    height = down * PANEL_HEIGHT + LINE_HEIGHT * (legend + title.count("\n") + 1.5)

    def draw(figure: Figure) -> None:
        figure.suptitle(title)
        for at, panel in enumerate(curve.panels):
            axes = figure.add_subplot(down, across, at + 1)
            _paint_panel(axes, panel, names, levels)
            axes.set_xlabel(curve.x_label)
            _scale_x(axes, curve, width / across)
        _paint_legend(figure, beside)

    return _Sheet(width, height, draw)


def _beside(names: list[str], width: float) -> int:
    """Returns how many entries of a legend have room beside each other."""
    longest = max(len(name) for name in names)
    return max(1, min(len(names), int(width / (HANDLE + LETTER * longest))))


def _paint_panel(axes: Axes, panel: Panel, names: list[str], levels: list[str]) -> None:
    axes.set_ylabel(f"{panel.label} ({panel.unit.symbol})")
    for line in panel.lines:
        _paint_line(axes, line, panel.unit.scale, names.index(line.label))
    for level in panel.levels:
        _paint_level(axes, level, panel.unit.scale, levels.index(level.label))


def _paint_line(axes: Axes, line: Line, scale: float, place: int) -> None:
    xs = [reading.x for reading in line.readings]
    values, lows, highs = zip(*([scale * part for part in reading.interval] for reading in line.readings), strict=True)
    colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
    axes.fill_between(xs, lows, highs, color=colour, alpha=0.13, linewidth=0)
    axes.vlines(xs, lows, highs, color=colour, linewidth=0.8, alpha=0.6)  # the interval of a line of one point
    face = colour if place < len(COLOURS) else "white"  # a colour that comes again has hollow markers
    marks: dict[str, Any] = {"marker": marker, "markersize": 5, "markerfacecolor": face}
    axes.plot(xs, values, color=colour, linewidth=1.4, label=line.label, **marks)


def _paint_level(axes: Axes, level: Level, scale: float, place: int) -> None:
    dashes, grey = DASHES[place % len(DASHES)], GREYS[place % len(GREYS)]
    axes.axhline(scale * level.interval.value, color=grey, ls=dashes, linewidth=1.2, zorder=1.5, label=level.label)


def _scale_x(axes: Axes, curve: Curve, width: float) -> None:
    """Scales the x axis of a panel and puts a tick at each value whose number has room."""
    xs = sorted({reading.x for panel in curve.panels for line in panel.lines for reading in line.readings})
    if curve.scale == "log" and xs[0] <= 0:
        beside = min((abs(x) for x in xs if x), default=1.0)
        axes.set_xscale("symlog", linthresh=beside)
    elif curve.scale == "log":
        axes.set_xscale("log")
    along = axes.xaxis.get_transform()
    first, last = along.transform([xs[0], xs[-1]])
    margin = 0.06 * (last - first or 1.0)
    axes.set_xlim(*along.inverted().transform([first - margin, last + margin]))
    places = (axes.transScale + axes.transLimits).transform([(x, axes.get_ylim()[0]) for x in xs])[:, 0]
    ticks: list[float] = []
    free = -math.inf
    for x, place in zip(xs, places * 0.8 * width, strict=True):
        half = (len(f"{x:g}") + 1) * LETTER / 2
        if place - half >= free:
            ticks.append(x)
            free = place + half
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _paint_legend(figure: Figure, beside: int) -> None:
    """Paints each label once, under all panels; a line without one needs none."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if handles:
        figure.legend(
            list(handles.values()), list(handles), loc="outside lower center", ncols=beside, borderaxespad=0.2
        )
