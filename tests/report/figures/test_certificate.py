"""Certified recall against counts by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from retbench.report.figures.certificate import certificate_panel
from retbench.report.figures.setting import Setting, group_rows
from retbench.report.tables.layout import printed_name
from retbench.results import Evidence

Make = Callable[..., Evidence]
RADII = torch.tensor([-1.0, -1.0, 0.0, 0.1, 0.2, 0.2, 0.5, 0.5, 0.75, 1.0, 1.5, 2.0], dtype=torch.float64)


def setting_of(made: Evidence) -> Setting:
    (group,) = group_rows(made, printed_name, swept=False)
    return group.settings[0]


def test_a_point_is_the_share_of_queries_certified_that_far(evidence: Make) -> None:
    made = evidence({("none", "none"): {}, ("none", "guard"): {"values": {"certified_radius": RADII}}})
    panel = certificate_panel(setting_of(made))
    assert panel is not None
    (line,) = panel.lines
    assert (line.xs[0], line.xs[-1], line.hue, line.mark) == (0, 2, "guard", "")
    by_hand = [100 * np.mean(RADII.numpy() >= radius) for radius in line.xs]
    np.testing.assert_allclose(line.values, by_hand)
    assert all(low <= value <= high for low, value, high in zip(line.lows, line.values, line.highs, strict=True))
    assert panel.summary == "guard 83.3 % at radius 0, half of that up to 0.5"


def test_the_level_is_the_first_answer_to_clean_queries(evidence: Make) -> None:
    made = evidence({("none", "none"): {}, ("none", "guard"): {"values": {"certified_radius": RADII}}})
    panel = certificate_panel(setting_of(made))
    assert panel is not None
    (level,) = panel.levels
    assert level.value == pytest.approx(100 * float(made.scores("key0")["map_depth"][:, 0].double().mean()))


@pytest.mark.parametrize("clean", [{}, {("none", "none"): {"values": {"depths": torch.tensor([2, 5, 20])}}}])
def test_there_is_no_level_where_the_first_answer_is_not_known(evidence: Make, clean: dict[str, object]) -> None:
    panel = certificate_panel(
        setting_of(evidence({**clean, ("none", "guard"): {"values": {"certified_radius": RADII}}}))
    )
    assert panel is not None
    assert panel.levels == ()


def test_where_nothing_is_certified_the_line_lies_on_the_ground(evidence: Make) -> None:
    wrong = {"certified_radius": torch.full((12,), -1.0)}
    panel = certificate_panel(setting_of(evidence({("none", "guard"): {"values": wrong}})))
    assert panel is not None
    assert set(panel.lines[0].values) == {0.0}
    assert panel.lines[0].xs[-1] == 1


def test_nothing_is_drawn_without_radii(evidence: Make) -> None:
    assert certificate_panel(setting_of(evidence({("none", "none"): {}}))) is None
