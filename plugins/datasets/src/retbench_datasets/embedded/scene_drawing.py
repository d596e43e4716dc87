"""The pixels of scenes: shapes with dark outlines on textured backgrounds, drawn from the contents of each scene."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench_datasets.embedded.scene_backgrounds import IMAGE_SIZE, Pixels, paint_backgrounds
from retbench_datasets.embedded.scene_contents import SHAPES, SceneContents, draw_contents
from retbench_datasets.embedded.scene_random import SceneRandom
from retbench_datasets.embedded.scene_shapes import measure_shape

_BATCH_SIZE = 250  # images drawn at once, so that a few of their float64 planes fit the cache of a core
_RADIUS_RANGE = (0.20, 0.30)  # as a share of the image side
_MAX_CONTRAST = 1.0  # RGB distance, channels in [0, 1], beyond which a color is no easier to see
_OUTLINE_GRAY, _OUTLINE_WIDTH = 0.03, 1.0  # gray level, and width in pixels, of the line around every shape
_MAX_TILT = np.pi / 9  # radians, in either direction


class ShapePlacement(NamedTuple):
    """Position, size and tilt of the two shapes of N scenes; scenes with one shape ignore the second.

    Attributes:
        centers: float64 (N, 2, 2), x and y of each shape, as shares of the image side.
        radii: float64 (N, 2), as shares of the image side.
        angles: float64 (N, 2), radians, clockwise.
    """

    centers: Pixels
    radii: Pixels
    angles: Pixels


def draw_scenes(seed: int, noise: float, indices: range) -> NDArray[np.uint8]:
    """Return uint8 (N, 3, 32, 32), the images of `indices`; an image depends on the seed and its own index alone.

    Args:
        seed: seed of the dataset.
        noise: standard deviation of the pixel noise, pixels in [0, 1].
        indices: the images to draw; an empty range gives (0, 3, 32, 32).
    """
    images = np.empty((len(indices), 3, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
    for start in range(0, len(indices), _BATCH_SIZE):
        draws = SceneRandom(seed, np.array(indices[start : start + _BATCH_SIZE], dtype=np.int64))
        pixels = _draw_pixels(draws) + noise * draws.normal("pixel noise", 3, IMAGE_SIZE, IMAGE_SIZE)
        images[start : start + _BATCH_SIZE] = np.rint(255.0 * np.clip(pixels, 0.0, 1.0))
    return images


def _draw_pixels(draws: SceneRandom) -> Pixels:
    contents = draw_contents(draws)
    images = paint_backgrounds(draws, contents.backgrounds)
    colors, placement = _draw_colors(draws, images), _draw_placement(draws)
    for slot in range(contents.shapes.shape[1]):
        distances = _measure_distances(contents, placement, slot)[:, None]
        images += (_OUTLINE_GRAY - images) * _measure_coverage(distances - _OUTLINE_WIDTH)
        images += (colors[:, slot, :, None, None] - images) * _measure_coverage(distances)
    return images


def _draw_placement(draws: SceneRandom) -> ShapePlacement:
    """Draw shapes whose circles are inside the image: of 16 pairs of centers, the first with the least overlap."""
    radii = draws.uniform("radii", 2, low=_RADIUS_RANGE[0], high=_RADIUS_RANGE[1])
    margins = radii[:, None, :, None]
    centers = margins + (1.0 - 2.0 * margins) * draws.uniform("centres", 16, 2, 2)  # the spelling is part of the draw
    gaps = np.sqrt(((centers[:, :, 0] - centers[:, :, 1]) ** 2).sum(axis=-1))
    best = np.argmax(np.minimum(gaps, radii.sum(axis=1, keepdims=True)), axis=1)
    angles = draws.uniform("angles", 2, low=-_MAX_TILT, high=_MAX_TILT)
    return ShapePlacement(centers[np.arange(len(draws)), best], radii, angles)


def _draw_colors(draws: SceneRandom, backgrounds: Pixels) -> Pixels:
    """Return (N, 2, 3), RGB: of eight pairs, the pair with most contrast to the background and to each other."""
    hue, saturation, value = (draws.uniform(purpose, 8, 2, 1) for purpose in ("hue", "depth", "value"))
    pure = np.clip(np.abs((6.0 * hue + np.array([0.0, 4.0, 2.0])) % 6.0 - 3.0) - 1.0, 0.0, 1.0)
    colors = (0.4 + 0.6 * value) * (1.0 - (0.5 + 0.5 * saturation) * (1.0 - pure))
    sample = backgrounds[:, :, 2::4, 2::4].reshape(len(draws), 1, 1, 3, -1)
    to_background = _measure_contrast(colors[..., None] - sample).mean(axis=-1).min(axis=-1)
    to_each_other = _measure_contrast((colors[:, :, 0] - colors[:, :, 1])[..., None])[..., 0]
    best = np.argmax(np.minimum(to_background, to_each_other), axis=1)
    chosen: Pixels = colors[np.arange(len(draws)), best]
    return chosen


def _measure_contrast(differences: Pixels) -> Pixels:
    """Return the contrast (..., k) of RGB differences (..., 3, k): their norm, at most `_MAX_CONTRAST`."""
    distances: Pixels = np.sqrt((differences**2).sum(axis=-2))
    return np.minimum(distances, _MAX_CONTRAST)


def _measure_distances(contents: SceneContents, placement: ShapePlacement, slot: int) -> Pixels:
    """Return (N, 32, 32), the signed distance in pixels to the shape in slot 0 or 1; 32 where that slot is empty."""
    distances = np.full((len(contents.shapes), IMAGE_SIZE, IMAGE_SIZE), float(IMAGE_SIZE))
    points = (np.arange(IMAGE_SIZE) + 0.5) / IMAGE_SIZE
    for index, kind in enumerate(SHAPES):
        rows = np.flatnonzero(contents.shapes[:, slot] == index)
        x, y = placement.centers[rows, slot].T[:, :, None, None]
        radius, angle = placement.radii[rows, slot, None, None], placement.angles[rows, slot, None, None]
        right, down = (points[None, None, :] - x) / radius, (points[None, :, None] - y) / radius
        u, v = right * np.cos(angle) + down * np.sin(angle), down * np.cos(angle) - right * np.sin(angle)
        distances[rows] = IMAGE_SIZE * radius * measure_shape(kind, u, v)
    return distances


def _measure_coverage(distances: Pixels) -> Pixels:
    """Return in [0, 1] the covered share of a pixel, from the signed distance of its center in pixels."""
    return np.clip(0.5 - distances, 0.0, 1.0)
