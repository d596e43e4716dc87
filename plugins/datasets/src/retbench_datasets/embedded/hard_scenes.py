"""The hard scenes: ten backgrounds, and one to three of sixteen small shapes, which prefer some backgrounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retbench_datasets.embedded.scene_contents import NO_SHAPE, SceneClasses, SceneContents
from retbench_datasets.embedded.scene_design import SceneDesign
from retbench_datasets.embedded.scene_drawing import SceneStyle
from retbench_datasets.embedded.scene_random import SceneRandom
from retbench_datasets.embedded.scene_text import SceneWording

_CLASSES = SceneClasses(
    backgrounds=("sky", "grass", "water", "brick", "sand", "night", "snow", "wood", "stone", "forest"),
    shapes=(
        *("circle", "square", "triangle", "ring", "cross", "star", "diamond", "hexagon"),
        *("crescent", "heart", "arrow", "frame", "dome", "hourglass", "pill", "tee"),
    ),
)

_BACKGROUND_WEIGHTS = np.array([6, 5, 5, 4, 4, 4, 3, 3, 3, 3])
"""Relative frequencies of the backgrounds."""
_PREFERENCE, _PREFERRED_SHAPES = 3, 5
"""How much more often a background has one of its preferred shapes than another one, and their number."""
_MORE_SHAPES_PROBABILITIES = (0.60, 0.20)
"""Probabilities of at least two, and of three shapes."""

# The last two words of each class also belong to another class: "blue" is a word of both sky and water.
_WORDS = {
    "sky": ("sky", "cloud", "blue", "bright"),
    "grass": ("grass", "lawn", "green", "field"),
    "water": ("water", "wave", "blue", "holidays"),
    "brick": ("brick", "masonry", "wall", "red"),
    "sand": ("sand", "desert", "holidays", "field"),
    "night": ("night", "midnight", "dark", "sparkle"),
    "snow": ("snow", "drift", "cold", "bright"),
    "wood": ("wood", "plank", "brown", "red"),
    "stone": ("stone", "rock", "wall", "cold"),
    "forest": ("forest", "tree", "green", "dark"),
    "circle": ("circle", "disc", "round", "dot"),
    "square": ("square", "tile", "box", "corners"),
    "triangle": ("triangle", "wedge", "tip", "roof"),
    "ring": ("ring", "hoop", "round", "hollow"),
    "cross": ("cross", "plus", "corners", "crossing"),
    "star": ("star", "starlet", "tip", "sparkle"),
    "diamond": ("diamond", "rhombus", "gem", "card"),
    "hexagon": ("hexagon", "honeycomb", "gem", "dot"),
    "crescent": ("crescent", "moon", "curve", "hollow"),
    "heart": ("heart", "love", "curve", "card"),
    "arrow": ("arrow", "pointer", "sign", "direction"),
    "frame": ("frame", "border", "box", "window"),
    "dome": ("dome", "half", "roof", "window"),
    "hourglass": ("hourglass", "timer", "waist", "crossing"),
    "pill": ("pill", "capsule", "waist", "brown"),
    "tee": ("tee", "letter", "sign", "direction"),
}


def _draw_contents(draws: SceneRandom) -> SceneContents:
    """Draw the contents of each scene: a background, then different shapes with probabilities that depend on it."""
    rows = np.arange(len(draws))
    backgrounds = _draw_weighted(draws, "background", np.tile(_BACKGROUND_WEIGHTS, (len(draws), 1)))
    weights = _shape_weights()[backgrounds]
    slots = len(_MORE_SHAPES_PROBABILITIES) + 1
    shapes = np.empty((len(draws), slots), dtype=np.int64)
    for slot in range(slots):
        shapes[:, slot] = _draw_weighted(draws, f"shape {slot}", weights)
        weights[rows, shapes[:, slot]] = 0
    shapes[:, 1:][draws.uniform("more shapes", 1) >= np.array(_MORE_SHAPES_PROBABILITIES)] = NO_SHAPE
    return SceneContents(backgrounds, shapes)


def _shape_weights() -> NDArray[np.int64]:
    """Return int64 (backgrounds, shapes), the relative frequency of each shape on each background."""
    background = np.arange(len(_CLASSES.backgrounds))[:, None]
    preferred = (3 * background + (1 + background % 3) * np.arange(_PREFERRED_SHAPES)) % len(_CLASSES.shapes)
    weights = np.ones((len(_CLASSES.backgrounds), len(_CLASSES.shapes)), dtype=np.int64)
    weights[background, preferred] = _PREFERENCE
    return weights


def _draw_weighted(draws: SceneRandom, purpose: str, weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return int64 (N,), a column of each row of the integer `weights` (N, M), in proportion to its weight."""
    ends = weights.cumsum(axis=1)
    points = np.floor(draws.uniform(purpose) * ends[:, -1])
    chosen: NDArray[np.int64] = (ends <= points[:, None]).sum(axis=1)
    return chosen


HARD_SCENES = SceneDesign(
    _CLASSES,
    _draw_contents,
    SceneStyle(radii=(0.16, 0.25), placements=6, colorings=6, hue_range=0.2, strokes=1),
    SceneWording(_WORDS, words_per_label=2, silence=0.2, mistakes=0.3),
)
