import math

import numpy as np
import pytest
from retbench_datasets.embedded.scene_contents import SHAPES
from retbench_datasets.embedded.scene_shapes import measure_shape

AXIS = np.linspace(-1.5, 1.5, 1501)
U, V = np.meshgrid(AXIS, AXIS)

AREAS = {
    "circle": math.pi,
    "square": 1.6**2,
    "triangle": 3 * math.sqrt(3) * 0.55**2,
    "ring": math.pi * (1 - 0.6**2),
    "cross": 2 * (2 * 0.54) - 0.54**2,
    "star": 10 * 0.5 * 1.0 * 0.45 * math.sin(math.pi / 5),
}
ROTATIONS = {"square": 4, "triangle": 3, "cross": 4, "star": 5, "circle": 7, "ring": 7}


@pytest.mark.parametrize("kind", SHAPES)
def test_a_shape_has_its_analytic_area(kind: str) -> None:
    inside = (measure_shape(kind, U, V) < 0).mean() * 3.0**2
    assert inside == pytest.approx(AREAS[kind], rel=0.01)


@pytest.mark.parametrize("kind", SHAPES)
def test_a_shape_has_its_rotational_symmetry(kind: str) -> None:
    angle = 2 * math.pi / ROTATIONS[kind]
    rotated = measure_shape(kind, U * math.cos(angle) + V * math.sin(angle), V * math.cos(angle) - U * math.sin(angle))
    assert np.allclose(rotated, measure_shape(kind, U, V), atol=1e-9)


@pytest.mark.parametrize("kind", SHAPES)
def test_distances_have_gradients_of_norm_one(kind: str) -> None:
    step = AXIS[1] - AXIS[0]
    slopes = np.hypot(*np.gradient(measure_shape(kind, U, V), step))
    assert np.median(slopes) == pytest.approx(1.0, abs=0.01)
    assert slopes.max() < 1.5


@pytest.mark.parametrize("kind", ["triangle", "star"])
def test_triangle_and_star_point_upward(kind: str) -> None:
    rows = np.flatnonzero((measure_shape(kind, U, V) < 0).any(axis=1))
    widths = (measure_shape(kind, U, V) < 0).sum(axis=1)
    assert widths[rows[0]] <= 2 < widths[rows[-1]]


def test_only_the_ring_has_a_hole() -> None:
    center = np.zeros(1)
    assert {kind for kind in SHAPES if measure_shape(kind, center, center)[0] > 0} == {"ring"}
