"""A drawn figure, as the bytes of its files."""

from __future__ import annotations

from typing import NamedTuple

from retbench.report.figures.chart import Chart


class Picture(NamedTuple):
    """The files of a figure.

    Attributes:
        stem: the files' name without suffix, unique in a report.
        title: printed above it.
        alt: a description, for readers who cannot see it.
        png: for screens.
        pdf: for papers, as vector graphics.
    """

    stem: str
    title: str
    alt: str
    png: bytes
    pdf: bytes


def picture_of(chart: Chart, stem: str, alt: str) -> Picture:
    """Return a chart as a picture of a report, under the chart's title."""
    from retbench.report.figures.drawing import draw_chart  # matplotlib loads slowly, and most reports draw nothing

    return Picture(stem, chart.title, alt, *draw_chart(chart))
