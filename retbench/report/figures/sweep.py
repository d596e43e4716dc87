"""The curve of a table as a picture: one panel for each metric, one line for each label, over a swept option."""

from __future__ import annotations

from retbench.report.figures.chart import Chart, Level, Line, Panel
from retbench.report.figures.picture import Picture, picture_of
from retbench.report.tables.curve import Curve
from retbench.report.tables.curve import Line as Readings
from retbench.report.tables.curve import Panel as Metric


def curve_picture(curve: Curve, stem: str) -> Picture:
    """Return a curve as a picture of a report; its description has the ends of the lines, and the levels."""
    chart = curve_chart(curve)
    panels = (f"{panel.label}: {drawn.summary}." for panel, drawn in zip(curve.panels, chart.panels, strict=True))
    alt = " ".join([f"Lines over {curve.x_label}, with bootstrap intervals shaded.", *panels])
    return picture_of(chart, stem, alt)


def curve_chart(curve: Curve) -> Chart:
    """Return a curve as a chart, in the units that its metrics are printed in; each label is a hue."""
    panels = tuple(_panel(panel) for panel in curve.panels)
    hues = tuple(dict.fromkeys(line.hue for panel in panels for line in panel.lines))
    return Chart(
        title=curve.title,
        x_label=curve.x_label,
        y_label="",
        scale=curve.scale,
        whole=False,
        panels=panels,
        hues=hues,
        marks=None,
    )


def _panel(metric: Metric) -> Panel:
    scale, symbol = metric.unit.scale, metric.unit.symbol
    lines = tuple(_line(line, scale) for line in metric.lines)
    levels = tuple(Level(level.label, scale * level.interval.value) for level in metric.levels)
    ends = [f"{line.hue or 'it'} {_ends(line, symbol)}" for line in lines]
    ends += [f"{level.label or 'to compare with'} {level.value:.4g} {symbol}" for level in levels]
    return Panel("", ", ".join(ends), lines, levels=levels, y_label=f"{metric.label} ({symbol})")


def _line(line: Readings, scale: float) -> Line:
    xs = tuple(reading.x for reading in line.readings)
    parts = (tuple(scale * part for part in reading.interval) for reading in line.readings)
    values, lows, highs = zip(*parts, strict=True)
    return Line("", line.label, xs, values, lows, highs)


def _ends(line: Line, symbol: str) -> str:
    begin = f"{line.values[0]:.4g} {symbol} at {line.xs[0]:g}"
    return begin if len(line.xs) == 1 else f"from {begin} to {line.values[-1]:.4g} {symbol} at {line.xs[-1]:g}"
