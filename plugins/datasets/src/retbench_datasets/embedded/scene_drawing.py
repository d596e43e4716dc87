"""The pixels of scenes: shapes with dark outlines on textured backgrounds, drawn from the contents of each scene."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from retbench_datasets.embedded.scene_backgrounds import IMAGE_SIZE, Pixels, paint_backgrounds
from retbench_datasets.embedded.scene_contents import SceneClasses, SceneContents
from retbench_datasets.embedded.scene_random import SceneRandom
from retbench_datasets.embedded.scene_shapes import measure_shape

_MAX_CONTRAST = 1.0  # RGB distance, channels in [0, 1], beyond which a color is no easier to see
_OUTLINE_GRAY, _OUTLINE_WIDTH = 0.03, 1.0  # gray level, and width in pixels, of the line around every shape
_MAX_TILT = np.pi / 9  # radians, in either direction
_STROKE_PROBABILITY, _STROKE_RADIUS, _MAX_STROKE_LENGTH = 0.6, 1.2 / IMAGE_SIZE, 0.32  # as shares of the image side


class SceneStyle(NamedTuple):
    """How shapes are drawn.

    Attributes:
        radii: smallest and largest radius of a shape, as shares of the image side.
        placements: number of random placements from which the one with the least overlap is taken.
        colorings: number of random colorings from which the one with the most contrast is taken.
        hue_range: width of the range of hues of a kind of shape, as a share of the color circle; 1 for all hues. The
            centers of the ranges are evenly spaced.
        strokes: largest number of colored strokes between background and shapes, which belong to no class.
    """

    radii: tuple[float, float]
    placements: int
    colorings: int
    hue_range: float = 1.0
    strokes: int = 0


class ShapePlacement(NamedTuple):
    """Position, size and tilt of the S shapes of N scenes; scenes with fewer shapes ignore the last ones.

    Attributes:
        centers: float64 (N, S, 2), x and y of each shape, as shares of the image side.
        radii: float64 (N, S), as shares of the image side.
        angles: float64 (N, S), radians, clockwise.
    """

    centers: Pixels
    radii: Pixels
    angles: Pixels


def draw_pixels(draws: SceneRandom, contents: SceneContents, classes: SceneClasses, style: SceneStyle) -> Pixels:
    """Return float64 (N, 3, 32, 32), mostly in [0, 1]: the scenes without pixel noise."""
    images = paint_backgrounds(draws, contents.backgrounds, classes.backgrounds)
    slots = contents.shapes.shape[1]
    hues = contents.shapes / len(classes.shapes)
    colors, placement = _draw_colors(draws, images, hues, style), _draw_placement(draws, slots, style)
    _paint_strokes(draws, images, style.strokes)
    for slot in range(slots):
        distances = _measure_distances(contents, classes, placement, slot)[:, None]
        images += (_OUTLINE_GRAY - images) * _measure_coverage(distances - _OUTLINE_WIDTH)
        images += (colors[:, slot, :, None, None] - images) * _measure_coverage(distances)
    return images


def _draw_placement(draws: SceneRandom, slots: int, style: SceneStyle) -> ShapePlacement:
    """Draw shapes whose circles are inside the image: of some placements, the first with the least overlap."""
    radii = draws.uniform("radii", slots, low=style.radii[0], high=style.radii[1])
    margins = radii[:, None, :, None]
    purpose = "centres"  # the spelling is part of the draw
    centers = margins + (1.0 - 2.0 * margins) * draws.uniform(purpose, style.placements, slots, 2)
    apart = np.full(centers.shape[:2], np.inf)
    for first, second in combinations(range(slots), 2):
        gaps = np.sqrt(((centers[:, :, first] - centers[:, :, second]) ** 2).sum(axis=-1))
        touching = radii[:, [first, second]].sum(axis=1, keepdims=True)
        apart = np.minimum(apart, np.minimum(gaps, touching))
    best = np.argmax(apart, axis=1)
    angles = draws.uniform("angles", slots, low=-_MAX_TILT, high=_MAX_TILT)
    return ShapePlacement(centers[np.arange(len(draws)), best], radii, angles)


def _draw_colors(draws: SceneRandom, backgrounds: Pixels, hues: Pixels, style: SceneStyle) -> Pixels:
    """Return (N, S, 3), RGB: of some colorings, the one with most contrast to the background and between shapes.

    Args:
        draws: the random numbers of the scenes.
        backgrounds: (N, 3, 32, 32), RGB.
        hues: (N, S), the typical hue of each shape, as a share of the color circle.
        style: how shapes are drawn.
    """
    slots = hues.shape[1]
    hue, saturation, value = (
        draws.uniform(purpose, style.colorings, slots, 1) for purpose in ("hue", "depth", "value")
    )
    if style.hue_range < 1.0:
        hue = hues[:, None, :, None] + style.hue_range * (hue - 0.5) + 1.0
    pure = np.clip(np.abs((6.0 * hue + np.array([0.0, 4.0, 2.0])) % 6.0 - 3.0) - 1.0, 0.0, 1.0)
    colors = (0.4 + 0.6 * value) * (1.0 - (0.5 + 0.5 * saturation) * (1.0 - pure))
    sample = backgrounds[:, :, 2::4, 2::4].reshape(len(draws), 1, 1, 3, -1)
    contrast = _measure_contrast(colors[..., None] - sample).mean(axis=-1).min(axis=-1)
    for first, second in combinations(range(slots), 2):
        to_each_other = _measure_contrast((colors[:, :, first] - colors[:, :, second])[..., None])[..., 0]
        contrast = np.minimum(contrast, to_each_other)
    best = np.argmax(contrast, axis=1)
    chosen: Pixels = colors[np.arange(len(draws)), best]
    return chosen


def _measure_contrast(differences: Pixels) -> Pixels:
    """Return the contrast (..., k) of RGB differences (..., 3, k): their norm, at most `_MAX_CONTRAST`."""
    distances: Pixels = np.sqrt((differences**2).sum(axis=-2))
    return np.minimum(distances, _MAX_CONTRAST)


def _paint_strokes(draws: SceneRandom, images: Pixels, count: int) -> None:
    """Paint up to `count` colored strokes with round ends, and without an outline, into the images."""
    x, y = draws.uniform("stroke x", count), draws.uniform("stroke y", count)
    angles = draws.uniform("stroke angle", count, high=np.pi)
    lengths = draws.uniform("stroke length", count, high=_MAX_STROKE_LENGTH)
    colors = draws.uniform("stroke color", count, 3, low=0.1, high=0.95)
    painted = draws.uniform("strokes", count) < _STROKE_PROBABILITY
    for stroke in range(count):
        u, v = _turn_points(x[:, stroke], y[:, stroke], angles[:, stroke])
        along = np.maximum(np.abs(u) - lengths[:, stroke, None, None] / 2, 0.0)
        distances = IMAGE_SIZE * (np.hypot(along, v) - _STROKE_RADIUS)
        coverage = _measure_coverage(distances) * painted[:, stroke, None, None]
        images += (colors[:, stroke, :, None, None] - images) * coverage[:, None]


def _measure_distances(contents: SceneContents, classes: SceneClasses, placement: ShapePlacement, slot: int) -> Pixels:
    """Return (N, 32, 32), the signed distance in pixels to the shape in a slot; 32 where that slot is empty."""
    distances = np.full((len(contents.shapes), IMAGE_SIZE, IMAGE_SIZE), float(IMAGE_SIZE))
    for index, kind in enumerate(classes.shapes):
        rows = np.flatnonzero(contents.shapes[:, slot] == index)
        x, y = placement.centers[rows, slot].T
        radius = placement.radii[rows, slot, None, None]
        u, v = _turn_points(x, y, placement.angles[rows, slot], radius)
        distances[rows] = IMAGE_SIZE * radius * measure_shape(kind, u, v)
    return distances


def _turn_points(x: Pixels, y: Pixels, angles: Pixels, radius: Pixels | float = 1.0) -> tuple[Pixels, Pixels]:
    """Return the coordinates (n, 32, 32) of pixel centers, in radii, along axes at (x, y) turned by `angles`."""
    points = (np.arange(IMAGE_SIZE) + 0.5) / IMAGE_SIZE
    x, y, angles = (values[:, None, None] for values in (x, y, angles))
    right, down = (points[None, None, :] - x) / radius, (points[None, :, None] - y) / radius
    return right * np.cos(angles) + down * np.sin(angles), down * np.cos(angles) - right * np.sin(angles)


def _measure_coverage(distances: Pixels) -> Pixels:
    """Return in [0, 1] the covered share of a pixel, from the signed distance of its center in pixels."""
    return np.clip(0.5 - distances, 0.0, 1.0)
