"""Colors, dashes, marker shapes and fills of all figures, assigned by position in a chart's lists of groups."""

from __future__ import annotations

from typing import Any, NamedTuple

from retbench.report.figures.chart import Chart, Line, ScatterPoint

# Okabe and Ito (2008), Color Universal Design: distinct for color-blind readers; yellow is too pale for white paper.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
CLEAN, UNDEFENDED = "#000000", "#707070"
"""Colors of clean queries, and of attacked queries without a defense."""
LEGEND_SHAPE, SHAPES = "o", ("s", "^", "D", "v", "P", "X", "*")
"""Marker shapes: of a color group in the legend (no marker group has it), and of the marker groups."""
FILLS: tuple[Any, ...] = ("full", "none", "left", "bottom", "right", "top")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (7, 1.5, 1.5, 1.5)),
    (0, (1.5, 1.2)),
    (0, (7, 1.5, 1.5, 1.5, 1.5, 1.5)),
    (0, (10, 2)),
    (0, (4, 1)),
)
UNDEFENDED_DASH = (0, (3, 2))
REFERENCE_COLORS = ("#404040", "#808080")
REFERENCE_DASHES: tuple[Any, ...] = ((0, (6, 3)), (0, (2, 2)), (0, (6, 2, 1, 2)))


class SeriesStyle(NamedTuple):
    """A color, and, for readers who do not see colors, a dash, a marker shape (each empty for none) and its fill."""

    color: str
    dash: Any
    shape: str = ""
    fill: Any = "full"
    width: float = 1.4


def series_style(chart: Chart, series: Line | ScatterPoint) -> SeriesStyle:
    """Return the style of a line or a point, by the positions of its color group and its marker group."""
    if series.color_group in chart.color_groups:
        return _group_style(chart, series.color_group, series.marker_group)
    if not series.marker_group:
        return SeriesStyle(CLEAN, "-", width=1.8)
    return SeriesStyle(UNDEFENDED, UNDEFENDED_DASH, _shape(chart, series.marker_group))


def reference_style(chart: Chart, label: str) -> SeriesStyle:
    """Return the style of a reference line: gray and dashed."""
    position = chart.reference_labels.index(label)
    color = REFERENCE_COLORS[position % len(REFERENCE_COLORS)]
    return SeriesStyle(color, REFERENCE_DASHES[position % len(REFERENCE_DASHES)], width=1.2)


def legend_styles(chart: Chart) -> dict[str, SeriesStyle]:
    """Return the entries of a legend by name: clean queries, no defense, color groups, marker groups, references.

    Only entries that are drawn and have a name are included.
    """
    undefended = {series.marker_group != "" for series in chart.series if series.color_group not in chart.color_groups}
    has_lines = any(panel.lines for panel in chart.panels)
    legend = {"clean queries": SeriesStyle(CLEAN, "-", width=1.8)} if False in undefended else {}
    legend |= {"no defense": SeriesStyle(UNDEFENDED, UNDEFENDED_DASH)} if True in undefended else {}
    for group in chart.color_groups:
        if members := [series for series in chart.series if series.color_group == group]:
            style = _group_style(chart, group, "")
            shape = style.shape or (LEGEND_SHAPE if any(series.marker_group for series in members) else "")
            legend[group] = style._replace(shape=shape, dash=style.dash if has_lines else "")
    for group in chart.marker_groups or ():
        if any(series.marker_group == group for series in chart.series):
            legend[group] = SeriesStyle(UNDEFENDED, "", _shape(chart, group))
    legend |= {label: reference_style(chart, label) for label in chart.reference_labels}
    return {name: style for name, style in legend.items() if name}


def _group_style(chart: Chart, color_group: str, marker_group: str) -> SeriesStyle:
    """Return the style of a color group: after six groups the colors repeat, with another dash and fill."""
    position = chart.color_groups.index(color_group)
    turn, color = position // len(COLORS), COLORS[position % len(COLORS)]
    if chart.marker_groups is None:
        return SeriesStyle(color, "-", SHAPES[position % len(SHAPES)], FILLS[turn % len(FILLS)])
    pairing = (position + turn) % len(FILLS)
    return SeriesStyle(color, DASHES[pairing], _shape(chart, marker_group), FILLS[pairing])


def _shape(chart: Chart, marker_group: str) -> str:
    if not marker_group or not chart.marker_groups:
        return ""
    return SHAPES[chart.marker_groups.index(marker_group) % len(SHAPES)]
