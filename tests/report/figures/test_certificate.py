"""Certified recall, against hand-computed counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from retbench.report.figures.certificate import certificate_panel
from retbench.report.figures.panel_data import PanelData, group_rows
from retbench.report.tables.layout import printed_name
from retbench.results import Evidence

Make = Callable[..., Evidence]
RADII = torch.tensor([-1.0, -1.0, 0.0, 0.1, 0.2, 0.2, 0.5, 0.5, 0.75, 1.0, 1.5, 2.0], dtype=torch.float64)


def panel_data(collected: Evidence) -> PanelData:
    (group,) = group_rows(collected, printed_name, swept=False)
    return group.panels[0]


def test_a_point_is_the_share_of_queries_certified_at_its_radius(evidence: Make) -> None:
    collected = evidence({("none", "none"): {}, ("none", "guard"): {"values": {"certified_radius": RADII}}})
    panel = certificate_panel(panel_data(collected))
    assert panel is not None
    (line,) = panel.lines
    assert (line.xs[0], line.xs[-1], line.color_group, line.marker_group) == (0, 2, "guard", "")
    by_hand = [100 * np.mean(RADII.numpy() >= radius) for radius in line.xs]
    np.testing.assert_allclose(line.values, by_hand)
    assert all(low <= value <= high for low, value, high in zip(line.lows, line.values, line.highs, strict=True))
    assert panel.summary == "guard 83.3 % at radius 0, at least half of that up to radius 0.5"


def test_the_reference_is_recall_at_1_of_clean_queries(evidence: Make) -> None:
    collected = evidence({("none", "none"): {}, ("none", "guard"): {"values": {"certified_radius": RADII}}})
    panel = certificate_panel(panel_data(collected))
    assert panel is not None
    (reference,) = panel.references
    assert reference.value == pytest.approx(100 * float(collected.scores("key0")["map_depth"][:, 0].double().mean()))


@pytest.mark.parametrize("clean", [{}, {("none", "none"): {"values": {"depths": torch.tensor([2, 5, 20])}}}])
def test_there_is_no_reference_if_recall_at_1_is_unknown(evidence: Make, clean: dict[str, object]) -> None:
    panel = certificate_panel(
        panel_data(evidence({**clean, ("none", "guard"): {"values": {"certified_radius": RADII}}}))
    )
    assert panel is not None
    assert panel.references == ()


def test_if_nothing_is_certified_the_line_is_0(evidence: Make) -> None:
    wrong = {"certified_radius": torch.full((12,), -1.0)}
    panel = certificate_panel(panel_data(evidence({("none", "guard"): {"values": wrong}})))
    assert panel is not None
    assert set(panel.lines[0].values) == {0.0}
    assert panel.lines[0].xs[-1] == 1


def test_without_radii_there_is_no_panel(evidence: Make) -> None:
    assert certificate_panel(panel_data(evidence({("none", "none"): {}}))) is None
