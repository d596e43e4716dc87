"""Lines of precision, against hand-computed means."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from retbench.metrics import bounded_interval
from retbench.report.figures.chart import Panel
from retbench.report.figures.panel_data import PanelData, group_rows
from retbench.report.figures.retrieval import depth_panel, line_name, recall_panel
from retbench.report.tables.layout import printed_name
from retbench.results import Evidence

Make = Callable[..., Evidence]
CELLS = {
    ("none", "none"): {"at": 0.85},
    ("dhta", "none"): {"at": 0.1},
    ("none", "retpur"): {"at": 0.8},
    ("dhta", "retpur"): {"at": 0.6},
}


def panel_data(collected: Evidence) -> PanelData:
    (group,) = group_rows(collected, printed_name, swept=False)
    (data,) = group.panels
    return data


def panel_of(collected: Evidence, panel: Callable[[PanelData], Panel | None]) -> Panel:
    made = panel(panel_data(collected))
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("panel", "name", "xs"),
    [(recall_panel, "map_recall", np.arange(0, 101, 5)), (depth_panel, "map_depth", np.array([1, 5, 20]))],
)
def test_a_line_is_the_mean_over_queries_in_percent(
    evidence: Make, panel: Callable[[PanelData], Panel | None], name: str, xs: np.ndarray
) -> None:
    collected = evidence(CELLS)
    drawn = panel_of(collected, panel)
    assert [(line.marker_group, line.color_group) for line in drawn.lines] == [
        ("", ""),
        ("DHTA", ""),
        ("DHTA", "RetPur"),
    ]
    for line, key in zip(drawn.lines, ("key0", "key1", "key3"), strict=True):
        values = collected.scores(key)[name].numpy().astype(np.float64)
        np.testing.assert_allclose(line.xs, xs)
        np.testing.assert_allclose(line.values, 100 * values.mean(axis=0))


def test_a_band_has_the_intervals_of_the_tables_at_every_point(evidence: Make) -> None:
    collected = evidence(CELLS)
    clean, attacked, _ = panel_of(collected, recall_panel).lines
    for line, key, clustered in ((clean, "key0", False), (attacked, "key1", True)):
        score = collected.scores(key)
        clusters = score["cluster"] if clustered else None
        for at in (0, 7, 20):
            column = score["map_recall"][:, at].double()
            interval = bounded_interval(column, clusters=clusters, resamples=200)
            assert (line.lows[at], line.highs[at]) == pytest.approx((100 * interval.low, 100 * interval.high))


def test_a_query_without_a_value_is_left_out(evidence: Make) -> None:
    recall = torch.full((12, 21), 0.5)
    recall[0] = torch.nan
    collected = evidence({("none", "none"): {"values": {"map_recall": recall}}})
    assert panel_of(collected, recall_panel).lines[0].values == (50.0,) * 21


def test_without_values_there_is_no_panel(evidence: Make) -> None:
    unscored = {"map_recall": None, "map_depth": None}
    undefined = {"map_recall": torch.full((12, 21), torch.nan), "map_depth": torch.full((12, 3), torch.nan)}
    for values in (unscored, undefined):
        data = panel_data(evidence({("none", "none"): {"values": values}}))
        assert recall_panel(data) is None
        assert depth_panel(data) is None


def test_a_single_depth_gives_no_line(evidence: Make) -> None:
    one = {"map_depth": torch.ones(12, 1), "depths": torch.tensor([1])}
    assert depth_panel(panel_data(evidence({("none", "none"): {"values": one}}))) is None


def test_the_summary_has_the_values_in_the_middle(evidence: Make) -> None:
    drawn = panel_of(evidence(CELLS), recall_panel)
    numbers = ", ".join(f"{line_name(line)} {line.values[10]:.1f} %" for line in drawn.lines)
    assert drawn.summary == f"at a recall of 50 % {numbers}"
    assert [line_name(line) for line in drawn.lines] == ["clean", "DHTA", "RetPur-DHTA"]
