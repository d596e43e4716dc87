"""The pixels of scenes, drawn from what they show."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench_datasets.embedded.scene_backgrounds import SIDE, Pixels, paint_backgrounds
from retbench_datasets.embedded.scene_contents import SHAPES, Contents, draw_contents
from retbench_datasets.embedded.scene_random import SceneRandom
from retbench_datasets.embedded.scene_shapes import measure_shape

_CHUNK = 250  # pictures drawn at once: a few of their float64 planes still fit a core's cache
_RADII = (0.20, 0.30)  # of the image's side
_CONTRAST = 1.0  # distance in RGB, each channel in [0, 1], beyond which a color is no easier to see
_INK, _OUTLINE = 0.03, 1.0  # gray level and width in pixels of the line around every shape
_TILT = np.pi / 9  # either way, in radians


class Placement(NamedTuple):
    """Where shapes lie in N scenes, both of them also where only the first is shown.

    Attributes:
        centers: float64 (N, 2, 2), x and y of either shape, of the image's side.
        radii: float64 (N, 2), of the image's side.
        angles: float64 (N, 2), radians, turned clockwise.
    """

    centers: Pixels
    radii: Pixels
    angles: Pixels


def draw_scenes(seed: int, noise: float, indices: range) -> NDArray[np.uint8]:
    """Returns uint8 (N, 3, 32, 32), the pictures of `indices`; a picture depends on its own index alone.

    Args:
        seed: the dataset's seed.
        noise: standard deviation of the pixel noise, pixels in [0, 1].
        indices: which pictures; none give (0, 3, 32, 32).
    """
    pictures = np.empty((len(indices), 3, SIDE, SIDE), dtype=np.uint8)
    for start in range(0, len(indices), _CHUNK):
        draws = SceneRandom(seed, np.array(indices[start : start + _CHUNK], dtype=np.int64))
        pixels = _draw(draws) + noise * draws.normal("pixel noise", 3, SIDE, SIDE)
        pictures[start : start + _CHUNK] = np.rint(255.0 * np.clip(pixels, 0.0, 1.0))
    return pictures


def _draw(draws: SceneRandom) -> Pixels:
    contents = draw_contents(draws)
    pictures = paint_backgrounds(draws, contents.backgrounds)
    colors, placement = _draw_colors(draws, pictures), _draw_placement(draws)
    for which in range(contents.shapes.shape[1]):
        distances = _measure(contents, placement, which)[:, None]
        pictures += (_INK - pictures) * _cover(distances - _OUTLINE)
        pictures += (colors[:, which, :, None, None] - pictures) * _cover(distances)
    return pictures


def _draw_placement(draws: SceneRandom) -> Placement:
    """Returns shapes whose circles lie inside the picture: of 16 pairs of centers, the first to overlap least."""
    radii = draws.uniform("radii", 2, low=_RADII[0], high=_RADII[1])
    margins = radii[:, None, :, None]
    centers = margins + (1.0 - 2.0 * margins) * draws.uniform("centres", 16, 2, 2)  # the spelling is part of the draw
    gaps = np.sqrt(((centers[:, :, 0] - centers[:, :, 1]) ** 2).sum(axis=-1))
    best = np.argmax(np.minimum(gaps, radii.sum(axis=1, keepdims=True)), axis=1)
    angles = draws.uniform("angles", 2, low=-_TILT, high=_TILT)
    return Placement(centers[np.arange(len(draws)), best], radii, angles)


def _draw_colors(draws: SceneRandom, backgrounds: Pixels) -> Pixels:
    """Returns (N, 2, 3), RGB: of eight pairs of vivid colors, that easiest to tell from the background and apart."""
    hue, depth, value = (draws.uniform(purpose, 8, 2, 1) for purpose in ("hue", "depth", "value"))
    pure = np.clip(np.abs((6.0 * hue + np.array([0.0, 4.0, 2.0])) % 6.0 - 3.0) - 1.0, 0.0, 1.0)
    colors = (0.4 + 0.6 * value) * (1.0 - (0.5 + 0.5 * depth) * (1.0 - pure))
    sample = backgrounds[:, :, 2::4, 2::4].reshape(len(draws), 1, 1, 3, -1)
    from_background = _contrast(colors[..., None] - sample).mean(axis=-1).min(axis=-1)
    from_each_other = _contrast((colors[:, :, 0] - colors[:, :, 1])[..., None])[..., 0]
    best = np.argmax(np.minimum(from_background, from_each_other), axis=1)
    chosen: Pixels = colors[np.arange(len(draws)), best]
    return chosen


def _contrast(differences: Pixels) -> Pixels:
    """Returns how well colors can be told apart, (..., k) from differences of RGB (..., 3, k)."""
    distances: Pixels = np.sqrt((differences**2).sum(axis=-2))
    return np.minimum(distances, _CONTRAST)


def _measure(contents: Contents, placement: Placement, which: int) -> Pixels:
    """Returns (N, 32, 32): pixels between each pixel and the first or second shape; many where there is none."""
    distances = np.full((len(contents.shapes), SIDE, SIDE), float(SIDE))
    points = (np.arange(SIDE) + 0.5) / SIDE
    for index, kind in enumerate(SHAPES):
        rows = np.flatnonzero(contents.shapes[:, which] == index)
        x, y = placement.centers[rows, which].T[:, :, None, None]
        radius, angle = placement.radii[rows, which, None, None], placement.angles[rows, which, None, None]
        right, down = (points[None, None, :] - x) / radius, (points[None, :, None] - y) / radius
        u, v = right * np.cos(angle) + down * np.sin(angle), down * np.cos(angle) - right * np.sin(angle)
        distances[rows] = SIDE * radius * measure_shape(kind, u, v)
    return distances


def _cover(distances: Pixels) -> Pixels:
    """Returns in [0, 1] how much of a pixel is covered, from its center's distance in pixels."""
    return np.clip(0.5 - distances, 0.0, 1.0)
