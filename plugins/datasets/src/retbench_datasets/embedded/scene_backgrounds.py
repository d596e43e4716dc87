"""The background textures of scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from retbench_datasets.embedded.scene_random import SceneRandom

Pixels = NDArray[np.float64]

IMAGE_SIZE = 32
_PIXEL_CENTERS = (np.arange(IMAGE_SIZE) + 0.5) / IMAGE_SIZE
_X, _Y = _PIXEL_CENTERS[None, None, :], _PIXEL_CENTERS[None, :, None]  # 0 to 1, from the upper left corner


def paint_backgrounds(draws: SceneRandom, backgrounds: NDArray[np.int64], names: Sequence[str]) -> Pixels:
    """Return float64 (N, 3, 32, 32), mostly in [0, 1]: the texture of each scene with its own tint and brightness.

    Args:
        draws: the random numbers of the scenes.
        backgrounds: int64 (N,), indices into `names`.
        names: names of textures.
    """
    images = np.empty((len(draws), 3, IMAGE_SIZE, IMAGE_SIZE))
    for index, name in enumerate(names):
        rows = np.flatnonzero(backgrounds == index)
        images[rows] = _PAINTERS[name](draws.select(rows))
    light = draws.uniform("light", 1, 1, 1, low=0.85, high=1.15)
    tint = draws.uniform("tint", 3, 1, 1, low=-0.05, high=0.05)
    return images * light + tint


def _paint_sky(draws: SceneRandom) -> Pixels:
    """Paint light blue, paler toward the horizon, with soft clouds."""
    clouds = _paint_spots(draws, count=5, width=(0.10, 0.20), height=(0.04, 0.07))
    blue = _blend((0.30, 0.56, 0.90), (0.74, 0.88, 0.98), _Y + 0.0 * clouds)
    return blue + (0.98 - blue) * np.minimum(clouds, 0.9)[:, None]


def _paint_grass(draws: SceneRandom) -> Pixels:
    """Paint green vertical blades, one pixel wide and a few pixels long."""
    blades = _draw_columns(draws, "blades", 6)
    return _blend((0.06, 0.26, 0.05), (0.46, 0.80, 0.20), 0.5 + 1.6 * (blades - 0.5))


def _paint_water(draws: SceneRandom) -> Pixels:
    """Paint blue horizontal waves, bent by a slower sine along each row."""
    waves = draws.uniform("waves", 1, 1, low=3.5, high=6.0)
    bends = draws.uniform("bends", 1, 1, low=1.0, high=2.5)
    bend_phase, phase = (draws.uniform(purpose, 1, 1) for purpose in ("bend phase", "wave phase"))
    sway = 0.18 * np.sin(2 * np.pi * (bends * _X + bend_phase))
    return _blend((0.03, 0.25, 0.58), (0.33, 0.68, 0.88), 0.5 + 0.5 * np.sin(2 * np.pi * (waves * _Y + sway + phase)))


def _paint_brick(draws: SceneRandom) -> Pixels:
    """Paint red bricks of different shades, with gray mortar one pixel wide."""
    height = draws.uniform("brick height", 1, 1, low=5.0, high=7.0) / IMAGE_SIZE
    course = _Y / height + draws.uniform("course phase", 1, 1)
    shift = 0.5 * (np.floor(course) % 2)
    position = _X / (2.0 * height) + shift + draws.uniform("brick phase", 1, 1)
    to_edge = np.minimum(_distance_to_integer(course) * height, _distance_to_integer(position) * 2.0 * height)
    mortar = np.clip(1.2 - IMAGE_SIZE * to_edge, 0.0, 1.0)
    shades = draws.uniform("shades", 16, 16, low=0.8, high=1.25)
    scenes = np.arange(len(draws))[:, None, None]
    shade = shades[scenes, np.floor(course).astype(np.int64) % 16, np.floor(position).astype(np.int64) % 16]
    red = np.array([0.62, 0.24, 0.17])[:, None, None] * shade[:, None]
    return red + (0.74 - red) * mortar[:, None]


def _paint_sand(draws: SceneRandom) -> Pixels:
    """Paint fine tan grains over faint dunes."""
    grains = draws.uniform("grains", IMAGE_SIZE, IMAGE_SIZE, low=-0.5, high=0.5)
    slope, phase = draws.uniform("dune slope", 1, 1, low=-0.6, high=0.6), draws.uniform("dune phase", 1, 1)
    dunes = np.sin(2 * np.pi * (1.5 * (_Y + slope * _X) + phase))
    return _blend((0.62, 0.48, 0.27), (0.95, 0.83, 0.58), 0.55 + 0.2 * dunes + 0.55 * grains)


def _paint_night(draws: SceneRandom) -> Pixels:
    """Paint near black, a little lighter toward the horizon, with stars one pixel wide."""
    stars = _paint_spots(draws, count=14, width=(0.014, 0.022), height=(0.014, 0.022))
    dark = _blend((0.02, 0.02, 0.09), (0.10, 0.07, 0.22), _Y + 0.0 * stars)
    return dark + (0.95 - dark) * np.minimum(stars, 1.0)[:, None]


def _paint_snow(draws: SceneRandom) -> Pixels:
    """Paint pale drifts with white flakes one pixel wide."""
    slope, phase = draws.uniform("drift slope", 1, 1, low=-0.6, high=0.6), draws.uniform("drift phase", 1, 1)
    drifts = np.sin(2 * np.pi * (1.2 * (_Y + slope * _X) + phase))
    flakes = _paint_spots(draws, count=10, width=(0.016, 0.026), height=(0.016, 0.026))
    pale = _blend((0.60, 0.70, 0.82), (0.92, 0.95, 0.99), 0.5 + 0.45 * drifts)
    return pale + (1.0 - pale) * np.minimum(flakes, 1.0)[:, None]


def _paint_wood(draws: SceneRandom) -> Pixels:
    """Paint brown vertical planks of different shades, with grain and dark gaps one pixel wide."""
    width = draws.uniform("plank width", 1, 1, low=6.0, high=9.0) / IMAGE_SIZE
    position = _X / width + draws.uniform("plank phase", 1, 1) + 0.0 * _Y
    gaps = np.clip(1.1 - IMAGE_SIZE * width * _distance_to_integer(position), 0.0, 1.0)
    shades = draws.uniform("plank shades", 16, low=0.75, high=1.25)
    shade = shades[np.arange(len(draws))[:, None, None], np.floor(position).astype(np.int64) % 16]
    brown = (
        np.array([0.55, 0.36, 0.20])[:, None, None] * (shade * (0.6 + 0.8 * _draw_columns(draws, "grain", 8)))[:, None]
    )
    return brown + (0.14 - brown) * gaps[:, None]


def _paint_stone(draws: SceneRandom) -> Pixels:
    """Paint gray stones of different shades and sizes, with dark gaps: the cells of a Voronoi diagram."""
    count = 14
    x, y = draws.uniform("stone x", count, 1, 1), draws.uniform("stone y", count, 1, 1)
    distances = np.hypot(_X[:, None] - x, _Y[:, None] - y)
    nearest, second = np.sort(distances, axis=1)[:, :2].swapaxes(0, 1)
    gaps: Pixels = np.clip(1.3 - 0.5 * IMAGE_SIZE * (second - nearest), 0.0, 1.0)
    shades = draws.uniform("stone shades", count, low=0.38, high=0.68)
    shade = shades[np.arange(len(draws))[:, None, None], distances.argmin(axis=1)]
    gray: Pixels = np.array([1.0, 0.98, 0.94])[:, None, None] * shade[:, None]
    return gray + (0.22 - gray) * gaps[:, None]


def _paint_forest(draws: SceneRandom) -> Pixels:
    """Paint dark green leaves, one pixel wide, around brown vertical trunks."""
    x, width = draws.uniform("trunk x", 5, 1, 1), draws.uniform("trunk width", 5, 1, 1, low=0.03, high=0.06)
    trunks: Pixels = np.clip(IMAGE_SIZE * (width - np.abs(_X[:, None] - x)), 0.0, 1.0).max(axis=1)
    leaves = _blend((0.02, 0.12, 0.06), (0.16, 0.42, 0.16), draws.uniform("leaves", IMAGE_SIZE, IMAGE_SIZE))
    return leaves + (np.array([0.30, 0.20, 0.12])[:, None, None] - leaves) * trunks[:, None]


_PAINTERS: dict[str, Callable[[SceneRandom], Pixels]] = {
    "sky": _paint_sky,
    "grass": _paint_grass,
    "water": _paint_water,
    "brick": _paint_brick,
    "sand": _paint_sand,
    "night": _paint_night,
    "snow": _paint_snow,
    "wood": _paint_wood,
    "stone": _paint_stone,
    "forest": _paint_forest,
}


def _blend(dark: tuple[float, ...], bright: tuple[float, ...], share: Pixels) -> Pixels:
    """Return (n, 3, 32, 32), RGB: `share` (n, 32, 32) of the way from the dark to the bright color."""
    start, end = (np.array(color)[:, None, None] for color in (dark, bright))
    blended: Pixels = start + (end - start) * share[:, None]
    return blended


def _draw_columns(draws: SceneRandom, purpose: str, length: int) -> Pixels:
    """Return (n, 32, 32) in [0, 1], independent columns of noise averaged over `length` pixels."""
    seeds = draws.uniform(purpose, IMAGE_SIZE + length - 1, IMAGE_SIZE)
    columns: Pixels = np.lib.stride_tricks.sliding_window_view(seeds, length, axis=1).mean(axis=-1)
    return columns


def _paint_spots(draws: SceneRandom, count: int, width: tuple[float, float], height: tuple[float, float]) -> Pixels:
    """Return (n, 32, 32), the sum of `count` Gaussians at random places; `width` and `height` bound their sigmas."""
    x, y = draws.uniform("spot x", count, 1), draws.uniform("spot y", count, 1)
    wide = draws.uniform("spot width", count, 1, low=width[0], high=width[1])
    high = draws.uniform("spot height", count, 1, low=height[0], high=height[1])
    across, down = np.exp(-0.5 * ((_PIXEL_CENTERS - x) / wide) ** 2), np.exp(-0.5 * ((_PIXEL_CENTERS - y) / high) ** 2)
    spots: Pixels = np.einsum("nky,nkx->nyx", down, across)
    return spots


def _distance_to_integer(values: Pixels) -> Pixels:
    """Return the distance of each value to the nearest integer."""
    return np.abs(values - np.rint(values))
