"""The kinds of figures that rows give."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from retbench.report.figures.certificate import certificate_panel
from retbench.report.figures.chart import Panel, Scale
from retbench.report.figures.panel_data import PanelData
from retbench.report.figures.retrieval import depth_panel, recall_panel
from retbench.report.figures.tradeoff import robustness_panel, seconds_panel


class FigureKind(NamedTuple):
    """A kind of figure.

    Attributes:
        stem: part of its files' names.
        title, x_label, y_label, scale, full_percent_range: as in `Chart`.
        panel: makes the panel of a dataset and hasher; None if its rows lack the values for one.
        alt: the part of the description that all panels share; `{level}` is replaced by the confidence level.
    """

    stem: str
    title: str
    x_label: str
    y_label: str
    panel: Callable[[PanelData], Panel | None]
    alt: str
    scale: Scale = "linear"
    full_percent_range: bool = True


_SHADED = "Shaded: pointwise {level} confidence intervals over queries."
_BARS = "Bars: {level} bootstrap confidence intervals of the paired differences over queries."
FIGURE_KINDS = (
    FigureKind(
        stem="precision-recall",
        title="Precision over recall",
        x_label="recall (%)",
        y_label="precision (%)",
        panel=recall_panel,
        alt=f"Lines of mean precision over recall, for clean queries, under attack and behind defenses. {_SHADED}",
    ),
    FigureKind(
        stem="precision-depth",
        title="Precision among the first N answers",
        x_label="number of first answers N",
        y_label="precision (%)",
        panel=depth_panel,
        alt="Lines of mean precision among the first N answers over N, on a logarithmic axis, for clean queries, "
        f"under attack and behind defenses. {_SHADED}",
        scale="log",
    ),
    FigureKind(
        stem="certified-recall",
        title="Certified recall",
        x_label="certified l2 radius r, images in [0, 1]",
        y_label="queries certified at r (%)",
        panel=certificate_panel,
        alt="Lines of the share of queries whose first answer is certified to stay relevant within a radius, over the "
        f"radius. {_SHADED}",
    ),
    FigureKind(
        stem="robustness",
        title="MAP recovered under attack over MAP lost on clean queries",
        x_label="MAP lost on clean queries (points)",
        y_label="MAP recovered (points)",
        panel=robustness_panel,
        alt="A marker for each defense under each attack: points of MAP recovered under attack over points of MAP lost "
        f"on clean queries. {_BARS}",
        full_percent_range=False,
    ),
    FigureKind(
        stem="cost",
        title="MAP recovered under attack over the defense's time per image",
        x_label="time per image at query time (s)",
        y_label="MAP recovered (points)",
        panel=seconds_panel,
        alt="A marker for each defense under each attack: points of MAP recovered under attack over seconds per image "
        f"at query time, on a logarithmic axis with a separate place for 0. {_BARS}",
        scale="cost",
        full_percent_range=False,
    ),
)
