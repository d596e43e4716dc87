"""What a scene shows: one background, and one or two kinds of shape."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench_datasets.embedded.scene_random import SceneRandom

BACKGROUNDS = ("sky", "grass", "water", "brick", "sand", "night")
SHAPES = ("circle", "square", "triangle", "ring", "cross", "star")
CLASSES = BACKGROUNDS + SHAPES

TWO_SHAPES = 0.35
NOTHING = -1


class Contents(NamedTuple):
    """What N scenes show.

    Attributes:
        backgrounds: int64 (N,), indices into BACKGROUNDS.
        shapes: int64 (N, 2), indices into SHAPES, both different; the second is NOTHING in most scenes.
    """

    backgrounds: NDArray[np.int64]
    shapes: NDArray[np.int64]


def draw_contents(draws: SceneRandom) -> Contents:
    """Returns what each scene shows: every background and every kind of shape is equally likely."""
    first = draws.integers("first shape", below=len(SHAPES))
    other = (first + 1 + draws.integers("second shape", below=len(SHAPES) - 1)) % len(SHAPES)
    second = np.where(draws.uniform("two shapes") < TWO_SHAPES, other, NOTHING)
    return Contents(draws.integers("background", below=len(BACKGROUNDS)), np.stack([first, second], axis=1))


def label_contents(contents: Contents) -> NDArray[np.uint8]:
    """Returns uint8 (N, 12), multi-hot over CLASSES: two labels, or three where there are two shapes."""
    classes = np.concatenate([contents.backgrounds[:, None], contents.shapes + len(BACKGROUNDS)], axis=1)
    shown = np.concatenate([contents.backgrounds[:, None], contents.shapes], axis=1) != NOTHING
    labels = np.zeros((len(classes), len(CLASSES)), dtype=np.uint8)
    rows, places = np.nonzero(shown)
    labels[rows, classes[rows, places]] = 1
    return labels
