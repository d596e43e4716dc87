import math
from itertools import combinations

import numpy as np
import pytest
from retbench_datasets.embedded.easy_scenes import EASY_SCENES
from retbench_datasets.embedded.hard_scenes import HARD_SCENES
from retbench_datasets.embedded.scene_shapes import measure_shape

AXIS = np.linspace(-1.5, 1.5, 1501)
U, V = np.meshgrid(AXIS, AXIS)

SHAPES = tuple(dict.fromkeys(EASY_SCENES.classes.shapes + HARD_SCENES.classes.shapes))


def lens_area(first: float, second: float, gap: float) -> float:
    """Return the area that two circles of these radii share, their centers `gap` apart."""
    near = (gap**2 + first**2 - second**2) / (2 * gap)
    half_chord = math.sqrt(first**2 - near**2)
    sectors = first**2 * math.acos(near / first) + second**2 * math.acos((gap - near) / second)
    return sectors - gap * half_chord


AREAS = {
    "circle": math.pi,
    "square": 1.6**2,
    "triangle": 3 * math.sqrt(3) * 0.55**2,
    "ring": math.pi * (1 - 0.6**2),
    "cross": 2 * (2 * 0.54) - 0.54**2,
    "star": 10 * 0.5 * 1.0 * 0.45 * math.sin(math.pi / 5),
    "diamond": 2 / 1.6,
    "hexagon": 2 * math.sqrt(3) * 0.87**2,
    "crescent": math.pi - lens_area(1.0, 0.85, 0.5),
    "heart": 1.1**2 + math.pi * 0.55**2,
    "arrow": 0.95**2 + 0.56 * 1.05,
    "frame": 1.64**2 - 0.84**2,
    "dome": math.pi / 2,
    "hourglass": 4 * (0.85 * 0.85**2 / 2 + 0.05 * 0.85),
    "pill": 1.0 + math.pi * 0.5**2,
    "tee": 1.8 * 0.6 + 0.6 * 1.15,
}
TURNS = {"circle": 7, "ring": 7, "hexagon": 6, "star": 5, "square": 4, "cross": 4, "frame": 4, "triangle": 3}
TURNS |= {"diamond": 2, "hourglass": 2, "pill": 2}


@pytest.mark.parametrize("kind", SHAPES)
def test_a_shape_has_its_analytic_area(kind: str) -> None:
    inside = (measure_shape(kind, U, V) < 0).mean() * 3.0**2
    assert inside == pytest.approx(AREAS[kind], rel=0.01)


@pytest.mark.parametrize("kind", TURNS)
def test_a_shape_has_its_rotational_symmetry(kind: str) -> None:
    angle = 2 * math.pi / TURNS[kind]
    rotated = measure_shape(kind, U * math.cos(angle) + V * math.sin(angle), V * math.cos(angle) - U * math.sin(angle))
    assert np.allclose(rotated, measure_shape(kind, U, V), atol=1e-9)


@pytest.mark.parametrize("kind", SHAPES)
def test_distances_have_gradients_of_norm_one(kind: str) -> None:
    step = AXIS[1] - AXIS[0]
    slopes = np.hypot(*np.gradient(measure_shape(kind, U, V), step))
    assert np.median(slopes) == pytest.approx(1.0, abs=0.01)
    assert slopes.max() < 1.5


@pytest.mark.parametrize("kind", SHAPES)
def test_the_left_half_of_a_shape_mirrors_the_right_and_a_crescent_opens_to_the_right(kind: str) -> None:
    mirrored = measure_shape(kind, U, -V) if kind == "crescent" else measure_shape(kind, -U, V)
    assert np.allclose(mirrored, measure_shape(kind, U, V), atol=1e-9)


@pytest.mark.parametrize("kind", SHAPES)
def test_a_shape_is_inside_its_circle(kind: str) -> None:
    reach = np.hypot(U, V)[measure_shape(kind, U, V) < 0].max()
    assert 0.75 < reach < 1.25


@pytest.mark.parametrize("kind", ["triangle", "star", "arrow"])
def test_triangle_star_and_arrow_point_upward(kind: str) -> None:
    rows = np.flatnonzero((measure_shape(kind, U, V) < 0).any(axis=1))
    widths = (measure_shape(kind, U, V) < 0).sum(axis=1)
    assert widths[rows[0]] <= 2 < widths[rows[-1]]


def test_ring_frame_and_crescent_leave_the_center_uncovered() -> None:
    center = np.zeros(1)
    assert {kind for kind in SHAPES if measure_shape(kind, center, center)[0] > 0} == {"ring", "frame", "crescent"}


def test_any_two_shapes_differ_in_a_part_of_their_area() -> None:
    inside = {kind: measure_shape(kind, U, V) < 0 for kind in SHAPES}
    for first, second in combinations(SHAPES, 2):
        either, both = (inside[first] | inside[second]).sum(), (inside[first] & inside[second]).sum()
        assert both / either < 0.9
