"""A ball is checked when it is made."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retbench.contracts import Ball

GRAY_LEVELS = "expected a number in (0, 1]; images are in [0, 1], so eight gray levels are 8/255"


@pytest.mark.parametrize(
    ("norm", "problem"),
    [
        ("Linf", "got 'Linf', expected one of l2, linf; nearest: linf"),
        ("L2", "got 'L2', expected one of l2, linf; nearest: l2"),
        ("l-inf", "nearest: linf"),
        ("euclidean", "got 'euclidean', expected one of l2, linf"),
        (2, "got 2, expected one of l2, linf"),
        (None, "got None, expected one of"),
    ],
)
def test_an_unknown_norm_is_an_error_with_the_nearest_one(norm: Any, problem: str) -> None:
    with pytest.raises(ValueError, match="ball: unknown norm") as caught:
        Ball(norm, 8 / 255)
    assert problem in str(caught.value)


@pytest.mark.parametrize("eps", [8, 1.0001, 0, 0.0, -1, -8 / 255, math.nan, math.inf, 10**400])
def test_a_radius_outside_its_range_is_an_error_that_explains_gray_levels(eps: Any) -> None:
    with pytest.raises(ValueError, match="ball: wrong eps") as caught:
        Ball("linf", eps)
    assert str(caught.value) == f"ball: wrong eps: got {eps!r}, {GRAY_LEVELS}"


@pytest.mark.parametrize("eps", ["0.1", True, None, 1j, torch.tensor(0.1), [0.1], np.array([0.1]), np.bool_(True)])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_radius_that_is_no_real_number_is_an_error(norm: Any, eps: Any) -> None:
    with pytest.raises(ValueError, match=r"ball: wrong eps: got "):
        Ball(norm, eps)


@pytest.mark.parametrize("eps", [0, -1, math.nan, math.inf, 10**400])
def test_an_l2_radius_is_a_finite_number_above_0(eps: Any) -> None:
    with pytest.raises(ValueError, match="expected a finite number above 0"):
        Ball("l2", eps)
    assert Ball("l2", 8).eps == 8


def test_an_l2_radius_beyond_every_perturbation_of_an_image_is_no_budget() -> None:
    assert Ball("l2", math.sqrt(3 * 4 * 5)).size_problem((4, 5)) is None
    assert Ball("l2", 255).size_problem((4, 5)) == (
        "ball: wrong eps: got 255, expected at most 7.746, the largest l2 norm on images of 4 x 5 pixels in [0, 1]"
    )
    assert Ball("linf", 1).size_problem((1, 1)) is None


@pytest.mark.parametrize("eps", [1, np.float32(0.125), np.float64(0.125), Fraction(8, 255), np.int64(1)])
def test_every_real_number_becomes_a_float(eps: Any) -> None:
    ball = Ball("linf", eps)
    assert type(ball.eps) is float
    assert ball.eps == float(eps)


@given(st.sampled_from(["linf", "l2"]), st.floats(0, 1, exclude_min=True))
def test_balls_of_equal_norm_and_radius_are_equal_and_frozen(norm: Any, eps: float) -> None:
    ball = Ball(norm, eps)
    assert ball == Ball(norm, eps)
    assert hash(ball) == hash(Ball(norm, eps))
    assert (ball.norm, ball.eps) == (norm, eps)
    with pytest.raises(dataclasses.FrozenInstanceError):
        ball.eps = 0.5  # type: ignore[misc]  # a frozen field is what the test assigns
    with pytest.raises(ValueError, match="wrong eps"):
        dataclasses.replace(ball, eps=-eps)
