"""The six textures behind the shapes of a scene."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from retbench_datasets.embedded.scene_contents import BACKGROUNDS
from retbench_datasets.embedded.scene_random import SceneRandom

Pixels = NDArray[np.float64]

SIDE = 32
_CENTERS = (np.arange(SIDE) + 0.5) / SIDE
_X, _Y = _CENTERS[None, None, :], _CENTERS[None, :, None]  # of the image's side, from the upper left corner


def paint_backgrounds(draws: SceneRandom, backgrounds: NDArray[np.int64]) -> Pixels:
    """Returns float64 (N, 3, 32, 32), mostly in [0, 1]: each scene's texture, in its own tint and light."""
    pictures = np.empty((len(draws), 3, SIDE, SIDE))
    for index, name in enumerate(BACKGROUNDS):
        rows = np.flatnonzero(backgrounds == index)
        pictures[rows] = _PAINTERS[name](draws.select(rows))
    light = draws.uniform("light", 1, 1, 1, low=0.85, high=1.15)
    tint = draws.uniform("tint", 3, 1, 1, low=-0.05, high=0.05)
    return pictures * light + tint


def _sky(draws: SceneRandom) -> Pixels:
    """Light blue, paler towards the horizon, with soft clouds."""
    clouds = _spots(draws, count=5, width=(0.10, 0.20), height=(0.04, 0.07))
    blue = _blend((0.30, 0.56, 0.90), (0.74, 0.88, 0.98), _Y + 0.0 * clouds)
    return blue + (0.98 - blue) * np.minimum(clouds, 0.9)[:, None]


def _grass(draws: SceneRandom) -> Pixels:
    """Green, in upright blades a pixel wide and a few long."""
    length = 6
    seeds = draws.uniform("blades", SIDE + length - 1, SIDE)
    blades = np.lib.stride_tricks.sliding_window_view(seeds, length, axis=1).mean(axis=-1)
    return _blend((0.06, 0.26, 0.05), (0.46, 0.80, 0.20), 0.5 + 1.6 * (blades - 0.5))


def _water(draws: SceneRandom) -> Pixels:
    """Blue, in level waves that sway along the row."""
    rows = draws.uniform("waves", 1, 1, low=3.5, high=6.0)
    bends = draws.uniform("bends", 1, 1, low=1.0, high=2.5)
    bend_phase, phase = (draws.uniform(purpose, 1, 1) for purpose in ("bend phase", "wave phase"))
    sway = 0.18 * np.sin(2 * np.pi * (bends * _X + bend_phase))
    return _blend((0.03, 0.25, 0.58), (0.33, 0.68, 0.88), 0.5 + 0.5 * np.sin(2 * np.pi * (rows * _Y + sway + phase)))


def _brick(draws: SceneRandom) -> Pixels:
    """Red bricks, each of its own shade, in gray mortar a pixel wide."""
    height = draws.uniform("brick height", 1, 1, low=5.0, high=7.0) / SIDE
    course = _Y / height + draws.uniform("course phase", 1, 1)
    shift = 0.5 * (np.floor(course) % 2)
    along = _X / (2.0 * height) + shift + draws.uniform("brick phase", 1, 1)
    to_edge = np.minimum(_to_whole(course) * height, _to_whole(along) * 2.0 * height)
    mortar = np.clip(1.2 - SIDE * to_edge, 0.0, 1.0)
    shades = draws.uniform("shades", 16, 16, low=0.8, high=1.25)
    every = np.arange(len(draws))[:, None, None]
    shade = shades[every, np.floor(course).astype(np.int64) % 16, np.floor(along).astype(np.int64) % 16]
    red = np.array([0.62, 0.24, 0.17])[:, None, None] * shade[:, None]
    return red + (0.74 - red) * mortar[:, None]


def _sand(draws: SceneRandom) -> Pixels:
    """Tan, in fine grains over faint dunes."""
    grains = draws.uniform("grains", SIDE, SIDE, low=-0.5, high=0.5)
    slope, phase = draws.uniform("dune slope", 1, 1, low=-0.6, high=0.6), draws.uniform("dune phase", 1, 1)
    dunes = np.sin(2 * np.pi * (1.5 * (_Y + slope * _X) + phase))
    return _blend((0.62, 0.48, 0.27), (0.95, 0.83, 0.58), 0.55 + 0.2 * dunes + 0.55 * grains)


def _night(draws: SceneRandom) -> Pixels:
    """Nearly black, a little lighter towards the horizon, with stars a pixel wide."""
    stars = _spots(draws, count=14, width=(0.014, 0.022), height=(0.014, 0.022))
    dark = _blend((0.02, 0.02, 0.09), (0.10, 0.07, 0.22), _Y + 0.0 * stars)
    return dark + (0.95 - dark) * np.minimum(stars, 1.0)[:, None]


_PAINTERS: dict[str, Callable[[SceneRandom], Pixels]] = {
    "sky": _sky,
    "grass": _grass,
    "water": _water,
    "brick": _brick,
    "sand": _sand,
    "night": _night,
}


def _blend(dark: tuple[float, ...], bright: tuple[float, ...], share: Pixels) -> Pixels:
    """Returns (n, 3, 32, 32) between two RGB colors, `share` (n, 32, 32) of the way."""
    start, end = (np.array(color)[:, None, None] for color in (dark, bright))
    blended: Pixels = start + (end - start) * share[:, None]
    return blended


def _spots(draws: SceneRandom, count: int, width: tuple[float, float], height: tuple[float, float]) -> Pixels:
    """Returns (n, 32, 32): the sum of `count` soft spots anywhere, their standard deviations in the given ranges."""
    x, y = draws.uniform("spot x", count, 1), draws.uniform("spot y", count, 1)
    wide = draws.uniform("spot width", count, 1, low=width[0], high=width[1])
    high = draws.uniform("spot height", count, 1, low=height[0], high=height[1])
    across, down = np.exp(-0.5 * ((_CENTERS - x) / wide) ** 2), np.exp(-0.5 * ((_CENTERS - y) / high) ** 2)
    spots: Pixels = np.einsum("nky,nkx->nyx", down, across)
    return spots


def _to_whole(values: Pixels) -> Pixels:
    """Returns how far each value is from the nearest whole number."""
    return np.abs(values - np.rint(values))
