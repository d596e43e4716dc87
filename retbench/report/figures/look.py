"""One set of colors, dashes, shapes and fills for every figure, assigned by place in a chart's lists."""

from __future__ import annotations

from typing import Any, NamedTuple

from retbench.report.figures.chart import Chart, Line, Spot

# Okabe and Ito (2008), Color Universal Design: distinct for color-blind readers; yellow is too pale for white paper.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
CLEAN, BARE = "#000000", "#707070"
"""Of clean queries, and of attacked ones without a defense."""
SAMPLE, SHAPES = "o", ("s", "^", "D", "v", "P", "X", "*")
"""Marks: of a hue in a legend, a shape that no name in `Chart.marks` has; and of those names."""
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
LEVEL_COLORS = ("#404040", "#808080")
LEVEL_DASHES: tuple[Any, ...] = ((0, (6, 3)), (0, (2, 2)), (0, (6, 2, 1, 2)))


class Look(NamedTuple):
    """A color, and, as colors are not for all, a dash (empty for no line), a shape (empty for no mark) and its fill."""

    color: str
    dash: Any
    shape: str = ""
    fill: Any = "full"
    width: float = 1.4


def look_of(chart: Chart, thing: Line | Spot) -> Look:
    """Return the look of a line or a spot, by the places of its hue and its mark."""
    if thing.hue in chart.hues:
        return _hue_look(chart, thing.hue, thing.mark)
    if not thing.mark:
        return Look(CLEAN, "-", width=1.8)
    return Look(BARE, UNDEFENDED, _shape(chart, thing.mark))


def level_look(chart: Chart, label: str) -> Look:
    """Return the look of a level: gray and dashed."""
    place = chart.level_labels.index(label)
    return Look(LEVEL_COLORS[place % len(LEVEL_COLORS)], LEVEL_DASHES[place % len(LEVEL_DASHES)], width=1.2)


def legend_looks(chart: Chart) -> dict[str, Look]:
    """Return the samples of a legend by their names: clean queries, no defense, hues, marks, then levels.

    Only what is drawn is named, and nothing that has no name.
    """
    things = chart.things
    bare = {thing.mark != "" for thing in things if thing.hue not in chart.hues}
    lined = any(panel.lines for panel in chart.panels)
    legend = {"clean queries": Look(CLEAN, "-", width=1.8)} if False in bare else {}
    legend |= {"no defense": Look(BARE, UNDEFENDED)} if True in bare else {}
    for hue in chart.hues:
        if mine := [thing for thing in things if thing.hue == hue]:
            look = _hue_look(chart, hue, "")
            shape = look.shape or (SAMPLE if any(thing.mark for thing in mine) else "")
            legend[hue] = look._replace(shape=shape, dash=look.dash if lined else "")
    for mark in chart.marks or ():
        if any(thing.mark == mark for thing in things):
            legend[mark] = Look(BARE, "", _shape(chart, mark))
    legend |= {label: level_look(chart, label) for label in chart.level_labels}
    return {name: look for name, look in legend.items() if name}


def _hue_look(chart: Chart, hue: str, mark: str) -> Look:
    """Return the look of a hue: after six places colors come again, with another dash and fill."""
    place = chart.hues.index(hue)
    turn, color = place // len(COLORS), COLORS[place % len(COLORS)]
    if chart.marks is None:
        return Look(color, "-", SHAPES[place % len(SHAPES)], FILLS[turn % len(FILLS)])
    pairing = (place + turn) % len(FILLS)
    return Look(color, DASHES[pairing], _shape(chart, mark), FILLS[pairing])


def _shape(chart: Chart, mark: str) -> str:
    return SHAPES[chart.marks.index(mark) % len(SHAPES)] if mark and chart.marks else ""
