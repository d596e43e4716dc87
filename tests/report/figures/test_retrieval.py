"""Lines of precision against means by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from retbench.metrics import bootstrap_interval
from retbench.report.figures.chart import Panel
from retbench.report.figures.retrieval import depth_panel, line_name, recall_panel
from retbench.report.figures.setting import Setting, group_rows
from retbench.report.tables.layout import printed_name
from retbench.results import Evidence

Make = Callable[..., Evidence]
CELLS = {
    ("none", "none"): {"at": 0.85},
    ("dhta", "none"): {"at": 0.1},
    ("none", "retpur"): {"at": 0.8},
    ("dhta", "retpur"): {"at": 0.6},
}


def setting_of(made: Evidence) -> Setting:
    (group,) = group_rows(made, printed_name, swept=False)
    (setting,) = group.settings
    return setting


def drawn(made: Evidence, panel: Callable[[Setting], Panel | None]) -> Panel:
    found = panel(setting_of(made))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("panel", "name", "xs"),
    [(recall_panel, "map_recall", np.arange(0, 101, 5)), (depth_panel, "map_depth", np.array([1, 5, 20]))],
)
def test_a_line_is_the_mean_over_queries_in_percent(
    evidence: Make, panel: Callable[[Setting], Panel | None], name: str, xs: np.ndarray
) -> None:
    made = evidence(CELLS)
    found = drawn(made, panel)
    assert [(line.mark, line.hue) for line in found.lines] == [("", ""), ("DHTA", ""), ("DHTA", "RetPur")]
    for line, key in zip(found.lines, ("key0", "key1", "key3"), strict=True):
        values = made.scores(key)[name].numpy().astype(np.float64)
        np.testing.assert_allclose(line.xs, xs)
        np.testing.assert_allclose(line.values, 100 * values.mean(axis=0))


def test_a_band_is_the_interval_of_the_tables_at_every_point(evidence: Make) -> None:
    made = evidence(CELLS)
    clean, attacked, _ = drawn(made, recall_panel).lines
    for line, key, clustered in ((clean, "key0", False), (attacked, "key1", True)):
        score = made.scores(key)
        clusters = score["cluster"] if clustered else None
        for at in (0, 7, 20):
            column = score["map_recall"][:, at].double()
            interval = bootstrap_interval(column, clusters=clusters, resamples=200)
            assert (line.lows[at], line.highs[at]) == pytest.approx((100 * interval.low, 100 * interval.high))


def test_a_query_without_a_value_is_left_out(evidence: Make) -> None:
    recall = torch.full((12, 21), 0.5)
    recall[0] = torch.nan
    made = evidence({("none", "none"): {"values": {"map_recall": recall}}})
    assert drawn(made, recall_panel).lines[0].values == (50.0,) * 21


def test_nothing_is_drawn_where_nothing_is_known(evidence: Make) -> None:
    bare = {"map_recall": None, "map_depth": None}
    gone = {"map_recall": torch.full((12, 21), torch.nan), "map_depth": torch.full((12, 3), torch.nan)}
    for values in (bare, gone):
        setting = setting_of(evidence({("none", "none"): {"values": values}}))
        assert recall_panel(setting) is None
        assert depth_panel(setting) is None


def test_one_depth_makes_no_line(evidence: Make) -> None:
    one = {"map_depth": torch.ones(12, 1), "depths": torch.tensor([1])}
    assert depth_panel(setting_of(evidence({("none", "none"): {"values": one}}))) is None


def test_the_numbers_in_the_middle_are_told(evidence: Make) -> None:
    found = drawn(evidence(CELLS), recall_panel)
    numbers = ", ".join(f"{line_name(line)} {line.values[10]:.1f} %" for line in found.lines)
    assert found.summary == f"at a recall of 50 % {numbers}"
    assert [line_name(line) for line in found.lines] == ["clean", "DHTA", "RetPur-DHTA"]
