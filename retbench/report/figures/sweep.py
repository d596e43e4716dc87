"""The curve of a table as a picture: one panel for each metric, one line for each label, over a swept option."""

from __future__ import annotations

from retbench.report.figures.chart import Chart, Line, Panel, ReferenceLine
from retbench.report.figures.picture import Picture, picture_of
from retbench.report.tables.curve import Curve, CurveLine, CurvePanel


def curve_picture(curve: Curve, stem: str) -> Picture:
    """Return a curve as a picture; its description has the ends of the lines, and the reference lines."""
    chart = curve_chart(curve)
    panels = (f"{panel.label}: {drawn.summary}." for panel, drawn in zip(curve.panels, chart.panels, strict=True))
    alt = " ".join([f"Lines over {curve.x_label}, with confidence intervals shaded.", *panels])
    return picture_of(chart, stem, alt)


def curve_chart(curve: Curve) -> Chart:
    """Return a curve as a chart, in the units that its metrics are printed in; each label is a color group."""
    panels = tuple(_panel(panel) for panel in curve.panels)
    color_groups = tuple(dict.fromkeys(line.color_group for panel in panels for line in panel.lines))
    return Chart(
        title=curve.title,
        x_label=curve.x_label,
        y_label="",
        scale=curve.scale,
        full_percent_range=False,
        panels=panels,
        color_groups=color_groups,
        marker_groups=None,
    )


def _panel(metric: CurvePanel) -> Panel:
    scale, symbol = metric.unit.scale, metric.unit.symbol
    lines = tuple(_line(line, scale) for line in metric.lines)
    references = tuple(ReferenceLine(level.label, scale * level.interval.value) for level in metric.references)
    ends = [f"{line.color_group or 'line'} {_ends(line, symbol)}" for line in lines]
    ends += [f"{level.label or 'reference'} {level.value:.4g} {symbol}" for level in references]
    return Panel("", ", ".join(ends), lines, references=references, y_label=f"{metric.label} ({symbol})")


def _line(line: CurveLine, scale: float) -> Line:
    xs = tuple(point.x for point in line.points)
    bounds = (tuple(scale * bound for bound in point.interval) for point in line.points)
    values, lows, highs = zip(*bounds, strict=True)
    return Line("", line.label, xs, values, lows, highs)


def _ends(line: Line, symbol: str) -> str:
    first = f"{line.values[0]:.4g} {symbol} at {line.xs[0]:g}"
    return first if len(line.xs) == 1 else f"from {first} to {line.values[-1]:.4g} {symbol} at {line.xs[-1]:g}"
