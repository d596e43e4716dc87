"""The contents of a scene: one background, and one or two kinds of shape."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench_datasets.embedded.scene_random import SceneRandom

BACKGROUNDS = ("sky", "grass", "water", "brick", "sand", "night")
SHAPES = ("circle", "square", "triangle", "ring", "cross", "star")
CLASSES = BACKGROUNDS + SHAPES

TWO_SHAPES_PROBABILITY = 0.35
NO_SHAPE = -1


class SceneContents(NamedTuple):
    """The contents of N scenes.

    Attributes:
        backgrounds: int64 (N,), indices into BACKGROUNDS.
        shapes: int64 (N, 2), two different indices into SHAPES; the second is NO_SHAPE in most scenes.
    """

    backgrounds: NDArray[np.int64]
    shapes: NDArray[np.int64]


def draw_contents(draws: SceneRandom) -> SceneContents:
    """Draw the contents of each scene: every background and every kind of shape is equally likely."""
    first = draws.integers("first shape", below=len(SHAPES))
    other = (first + 1 + draws.integers("second shape", below=len(SHAPES) - 1)) % len(SHAPES)
    second = np.where(draws.uniform("two shapes") < TWO_SHAPES_PROBABILITY, other, NO_SHAPE)
    return SceneContents(draws.integers("background", below=len(BACKGROUNDS)), np.stack([first, second], axis=1))


def label_contents(contents: SceneContents) -> NDArray[np.uint8]:
    """Return uint8 (N, 12), multi-hot over CLASSES: two labels, or three in scenes with two shapes."""
    classes = np.concatenate([contents.backgrounds[:, None], contents.shapes + len(BACKGROUNDS)], axis=1)
    shown = np.concatenate([contents.backgrounds[:, None], contents.shapes], axis=1) != NO_SHAPE
    labels = np.zeros((len(classes), len(CLASSES)), dtype=np.uint8)
    rows, columns = np.nonzero(shown)
    labels[rows, classes[rows, columns]] = 1
    return labels
