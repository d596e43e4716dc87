import colorsys

import numpy as np
import pytest
from retbench_datasets.embedded.easy_scenes import EASY_SCENES
from retbench_datasets.embedded.hard_scenes import HARD_SCENES
from retbench_datasets.embedded.scene_backgrounds import paint_backgrounds
from retbench_datasets.embedded.scene_contents import NO_SHAPE, SceneContents
from retbench_datasets.embedded.scene_design import SceneDesign
from retbench_datasets.embedded.scene_drawing import draw_pixels
from retbench_datasets.embedded.scene_random import SceneRandom

DESIGNS = {"easy": EASY_SCENES, "hard": HARD_SCENES}
GRASS, STAR = 1, 5
"""Indices among the backgrounds and shapes of both designs. No two pixels of grass have the same color."""


@pytest.fixture(params=DESIGNS)
def design(request: pytest.FixtureRequest) -> SceneDesign:
    return DESIGNS[request.param]


def draw_backgrounds(design: SceneDesign, count: int) -> np.ndarray:
    """Return the scenes of a design without shapes."""
    draws = SceneRandom(0, np.arange(count))
    names = design.classes.backgrounds
    return np.clip(paint_backgrounds(draws, design.draw_contents(draws).backgrounds, names), 0, 1)


def draw_kind(design: SceneDesign, kind: int, count: int = 100) -> np.ndarray:
    """Return scenes on grass with one shape of a kind, or without a shape."""
    shapes = np.full((count, design.draw_contents(SceneRandom(0, np.arange(1))).shapes.shape[1]), NO_SHAPE)
    shapes[:, 0] = kind
    contents = SceneContents(np.full(count, GRASS), shapes)
    return draw_pixels(SceneRandom(0, np.arange(count)), contents, design.classes, design.style)


def test_shapes_cover_a_part_of_the_image_but_not_all(design: SceneDesign) -> None:
    images = design.draw_images(0, 0.0, range(500)) / 255
    changed = (np.abs(images - draw_backgrounds(design, 500)).max(axis=1) > 0.01).mean(axis=(1, 2))
    assert 0.03 < changed.min() < changed.max() < 0.75


def test_two_easy_shapes_cover_twice_the_pixels_of_one() -> None:
    images = EASY_SCENES.draw_images(0, 0.0, range(500)) / 255
    changed = (np.abs(images - draw_backgrounds(EASY_SCENES, 500)).max(axis=1) > 0.01).mean(axis=(1, 2))
    two = EASY_SCENES.draw_contents(SceneRandom(0, np.arange(500))).shapes[:, 1] != NO_SHAPE
    assert changed[two].mean() / changed[~two].mean() == pytest.approx(2.0, abs=0.2)


def test_hard_shapes_are_smaller() -> None:
    covered = {
        name: (np.abs(draw_kind(design, STAR) - draw_kind(design, NO_SHAPE)).max(axis=1) > 0.01).mean()
        for name, design in DESIGNS.items()
    }
    assert 0.05 < covered["hard"] < 0.9 * covered["easy"]


def test_a_shape_has_contrast_to_its_background(design: SceneDesign) -> None:
    images = design.draw_images(0, 0.0, range(500)) / 255
    distances = np.sqrt(((images - draw_backgrounds(design, 500)) ** 2).sum(axis=1))
    strongest = np.sort(distances.reshape(500, -1), axis=1)[:, -30:]
    assert strongest.mean(axis=1).min() > 0.3


def test_background_kinds_are_separable_by_simple_statistics(design: SceneDesign) -> None:
    kinds = design.draw_contents(SceneRandom(0, np.arange(1200))).backgrounds
    images = draw_backgrounds(design, 1200)
    along, down = np.abs(np.diff(images, axis=3)), np.abs(np.diff(images, axis=2))
    statistics = np.concatenate([part.mean(axis=(2, 3)) for part in (images, along, down)], axis=1)
    names = design.classes.backgrounds
    centers = np.stack([statistics[:600][kinds[:600] == kind].mean(axis=0) for kind in range(len(names))])
    nearest = np.abs(statistics[600:, None] - centers).sum(axis=-1).argmin(axis=1)
    assert (nearest == kinds[600:]).mean() > 0.95


def test_two_backgrounds_of_a_kind_differ(design: SceneDesign) -> None:
    draws = SceneRandom(0, np.arange(40))
    for kind in range(len(design.classes.backgrounds)):
        images = paint_backgrounds(draws, np.full(40, kind), design.classes.backgrounds).reshape(40, -1)
        gaps = np.abs(images[:, None] - images).mean(axis=-1) + np.eye(40)
        assert gaps.min() > 0.01


def test_a_background_covers_the_whole_image(design: SceneDesign) -> None:
    assert np.isfinite(draw_backgrounds(design, 300)).all()
    assert design.draw_images(0, 0.0, range(300)).std(axis=(2, 3)).min() > 0


def test_strokes_change_the_background_but_no_shape() -> None:
    plain = HARD_SCENES._replace(style=HARD_SCENES.style._replace(strokes=0))
    without, with_strokes = draw_kind(plain, STAR), draw_kind(HARD_SCENES, STAR)
    changed = (np.abs(without - with_strokes) > 1e-9).any(axis=1)
    shape = (without != draw_kind(plain, NO_SHAPE)).any(axis=1)
    inside = shape & ~grow(~shape)
    assert 0.3 < changed.any(axis=(1, 2)).mean() < 0.95
    assert not (changed & inside).any()


def grow(mask: np.ndarray) -> np.ndarray:
    """Return the mask (N, H, W) with the eight neighbors of its pixels."""
    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    shifted = [padded[:, y : y + mask.shape[1], x : x + mask.shape[2]] for y in range(3) for x in range(3)]
    return np.logical_or.reduce(shifted)


@pytest.mark.parametrize("kind", [0, STAR, 11])
def test_the_hues_of_a_kind_are_in_its_range(kind: int) -> None:
    strokeless = HARD_SCENES._replace(style=HARD_SCENES.style._replace(strokes=0))
    for image in draw_kind(strokeless, kind):
        colors, counts = np.unique(image.reshape(3, -1).T.round(6), axis=0, return_counts=True)
        colored = np.ptp(colors, axis=1) > 0.05  # and not the outline
        hue = colorsys.rgb_to_hsv(*colors[colored][counts[colored].argmax()])[0]
        from_center = abs((hue - kind / len(HARD_SCENES.classes.shapes) + 0.5) % 1 - 0.5)
        assert from_center <= HARD_SCENES.style.hue_range / 2 + 1e-6


def test_a_scene_without_a_shape_is_its_background(design: SceneDesign) -> None:
    draws = SceneRandom(0, np.arange(20))
    background = paint_backgrounds(draws, np.full(20, GRASS), design.classes.backgrounds)
    strokeless = design._replace(style=design.style._replace(strokes=0))
    assert np.array_equal(draw_kind(strokeless, NO_SHAPE, count=20), background)
