"""Where seconds stand, and none of them."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from retbench.report.figures.axis import scale_cost, zero_place


def ticks(seconds: list[float]) -> dict[str, float]:
    axes = Figure().add_subplot()
    scale_cost(axes, seconds)
    places = axes.xaxis.get_major_locator()()
    low, high = axes.get_xlim()
    assert all(low < place < high for place in (*places, *(part or zero_place(seconds) for part in seconds)))
    return {axes.xaxis.get_major_formatter()(place): float(place) for place in places}


def test_whole_decades_have_ticks() -> None:
    assert ticks([0.03, 2.0]) == pytest.approx({"0.01": 0.01, "0.1": 0.1, "1": 1, "10": 10})
    assert ticks([0.1]) == pytest.approx({"0.1": 0.1, "1": 1})


def test_none_stands_left_of_all_decades() -> None:
    assert list(ticks([0.03, 0.0])) == ["0", "0.01", "0.1"]
    assert zero_place([0.03, 0.0]) < 0.01


def test_none_alone_has_a_place() -> None:
    assert list(ticks([0.0, 0.0])) == ["0"]
