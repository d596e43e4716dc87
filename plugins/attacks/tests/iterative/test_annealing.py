"""The published schedules of alpha."""

from __future__ import annotations

import pytest
from retbench_attacks.iterative.annealing import compute_alpha


@pytest.mark.parametrize(
    ("step", "alpha"),
    [
        (0, 0.1), (999, 0.1), (1000, 0.2), (1199, 0.2), (1200, 0.3), (1399, 0.3), (1400, 0.5), (1599, 0.5), (1600, 0.7),
        (1799, 0.7), (1800, 1.0), (1999, 1.0), (5000, 1.0),
    ],
)  # fmt: skip
def test_absolute_schedule_depends_on_the_step_number(step: int, alpha: float) -> None:
    assert compute_alpha("absolute", step, 10_000, 0.4) == alpha


def test_absolute_and_relative_schedules_agree_for_2000_steps() -> None:
    both = [
        (compute_alpha("absolute", step, 2000, 0.4), compute_alpha("relative", step, 2000, 0.4)) for step in range(2000)
    ]
    assert all(absolute == relative for absolute, relative in both)


@pytest.mark.parametrize(("steps", "first", "each"), [(500, 250, 50), (100, 50, 10)])
def test_relative_schedule_spends_half_of_the_steps_at_the_first_level(steps: int, first: int, each: int) -> None:
    alphas = [compute_alpha("relative", step, steps, 0.4) for step in range(steps)]
    assert alphas == [0.1] * first + [0.2] * each + [0.3] * each + [0.5] * each + [0.7] * each + [1.0] * each


def test_absolute_schedule_of_500_steps_stays_at_the_first_level() -> None:
    assert {compute_alpha("absolute", step, 500, 0.4) for step in range(500)} == {0.1}


def test_constant_schedule_does_not_change() -> None:
    assert {compute_alpha("constant", step, 60, 0.25) for step in range(60)} == {0.25}
