"""The easy scenes: six backgrounds, and one or two of six large shapes."""

from __future__ import annotations

import numpy as np

from retbench_datasets.embedded.scene_contents import NO_SHAPE, SceneClasses, SceneContents
from retbench_datasets.embedded.scene_design import SceneDesign
from retbench_datasets.embedded.scene_drawing import SceneStyle
from retbench_datasets.embedded.scene_random import SceneRandom
from retbench_datasets.embedded.scene_text import SceneWording

_CLASSES = SceneClasses(
    backgrounds=("sky", "grass", "water", "brick", "sand", "night"),
    shapes=("circle", "square", "triangle", "ring", "cross", "star"),
)
_TWO_SHAPES_PROBABILITY = 0.35

# The last word of each class also belongs to another class: "blue" is a word of both sky and water.
_WORDS = {
    "sky": ("sky", "cloud", "air", "blue"),
    "grass": ("grass", "lawn", "meadow", "ground"),
    "water": ("water", "wave", "lake", "blue"),
    "brick": ("brick", "wall", "masonry", "city"),
    "sand": ("sand", "beach", "desert", "ground"),
    "night": ("night", "dark", "midnight", "city"),
    "circle": ("circle", "disc", "ball", "round"),
    "square": ("square", "box", "tile", "corners"),
    "triangle": ("triangle", "wedge", "pyramid", "tips"),
    "ring": ("ring", "hoop", "loop", "round"),
    "cross": ("cross", "plus", "crossing", "corners"),
    "star": ("star", "starlet", "twinkle", "tips"),
}


def _draw_contents(draws: SceneRandom) -> SceneContents:
    """Draw the contents of each scene: every background and every kind of shape is equally likely."""
    kinds = len(_CLASSES.shapes)
    first = draws.integers("first shape", below=kinds)
    other = (first + 1 + draws.integers("second shape", below=kinds - 1)) % kinds
    second = np.where(draws.uniform("two shapes") < _TWO_SHAPES_PROBABILITY, other, NO_SHAPE)
    backgrounds = draws.integers("background", below=len(_CLASSES.backgrounds))
    return SceneContents(backgrounds, np.stack([first, second], axis=1))


EASY_SCENES = SceneDesign(
    _CLASSES,
    _draw_contents,
    SceneStyle(radii=(0.20, 0.30), placements=16, colorings=8),
    SceneWording(_WORDS, words_per_label=2),
)
