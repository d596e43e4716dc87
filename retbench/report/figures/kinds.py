"""The kinds of pictures that rows give."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from retbench.report.figures.certificate import certificate_panel
from retbench.report.figures.chart import Panel, Scale
from retbench.report.figures.retrieval import depth_panel, recall_panel
from retbench.report.figures.setting import Setting
from retbench.report.figures.tradeoff import robustness_panel, seconds_panel


class Kind(NamedTuple):
    """A kind of picture.

    Attributes:
        stem: a piece of its files' names.
        title, x_label, y_label, scale, whole: as a chart's.
        panel: returns the panel of a setting; None where its rows lack the values for one.
        alt: what all panels have in common, for readers who cannot see them; `{level}` is the intervals' coverage.
    """

    stem: str
    title: str
    x_label: str
    y_label: str
    panel: Callable[[Setting], Panel | None]
    alt: str
    scale: Scale = "linear"
    whole: bool = True


_SHADED = "Shaded: pointwise {level} bootstrap intervals over queries."
_BARS = "Bars: {level} bootstrap intervals of the paired differences over queries."
KINDS = (
    Kind(
        stem="precision-recall",
        title="Precision over recall",
        x_label="recall (%)",
        y_label="precision (%)",
        panel=recall_panel,
        alt=f"Lines of mean precision over recall, for clean queries, under attack and behind defenses. {_SHADED}",
    ),
    Kind(
        stem="precision-depth",
        title="Precision among the first N answers",
        x_label="number of first answers N",
        y_label="precision (%)",
        panel=depth_panel,
        alt="Lines of mean precision among the first N answers over N, on a logarithmic axis, for clean queries, "
        f"under attack and behind defenses. {_SHADED}",
        scale="log",
    ),
    Kind(
        stem="certified-recall",
        title="Certified recall",
        x_label="certified l2 radius r, images in [0, 1]",
        y_label="queries certified at r (%)",
        panel=certificate_panel,
        alt="Lines of the share of queries whose first answer is certified to stay relevant within a radius, over the "
        f"radius. {_SHADED}",
    ),
    Kind(
        stem="robustness",
        title="MAP recovered under attack over MAP lost on clean queries",
        x_label="MAP lost on clean queries (points)",
        y_label="MAP recovered (points)",
        panel=robustness_panel,
        alt="A mark for each defense under each attack: points of MAP recovered under attack over points of MAP lost "
        f"on clean queries. {_BARS}",
        whole=False,
    ),
    Kind(
        stem="cost",
        title="MAP recovered under attack over the defense's time per image",
        x_label="time per image at query time (s)",
        y_label="MAP recovered (points)",
        panel=seconds_panel,
        alt="A mark for each defense under each attack: points of MAP recovered under attack over seconds per image "
        f"at query time, on a logarithmic axis with a place of its own for 0. {_BARS}",
        scale="cost",
        whole=False,
    ),
)
