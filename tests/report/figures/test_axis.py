"""The axis of seconds, with a separate position for 0."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from retbench.report.figures.axis import scale_cost, zero_position


def ticks(seconds: list[float]) -> dict[str, float]:
    axes = Figure().add_subplot()
    scale_cost(axes, seconds)
    positions = axes.xaxis.get_major_locator()()
    low, high = axes.get_xlim()
    assert all(
        low < position < high for position in (*positions, *(value or zero_position(seconds) for value in seconds))
    )
    return {axes.xaxis.get_major_formatter()(position): float(position) for position in positions}


def test_whole_decades_have_ticks() -> None:
    assert ticks([0.03, 2.0]) == pytest.approx({"0.01": 0.01, "0.1": 0.1, "1": 1, "10": 10})
    assert ticks([0.1]) == pytest.approx({"0.1": 0.1, "1": 1})


def test_zero_is_left_of_all_decades() -> None:
    assert list(ticks([0.03, 0.0])) == ["0", "0.01", "0.1"]
    assert zero_position([0.03, 0.0]) < 0.01


def test_zero_alone_has_a_tick() -> None:
    assert list(ticks([0.0, 0.0])) == ["0"]
