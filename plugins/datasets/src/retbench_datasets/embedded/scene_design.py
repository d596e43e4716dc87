"""A design of scenes: their classes, and how contents, pixels and texts follow from random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench_datasets.embedded.scene_backgrounds import IMAGE_SIZE
from retbench_datasets.embedded.scene_contents import SceneClasses, SceneContents, label_contents
from retbench_datasets.embedded.scene_drawing import SceneStyle, draw_pixels
from retbench_datasets.embedded.scene_random import SceneRandom
from retbench_datasets.embedded.scene_text import SceneWording, write_texts

_BATCH_SIZE = 250  # images drawn at once, so that a few of their float64 planes fit the cache of a core


class SceneDesign(NamedTuple):
    """The rules of one kind of scenes; a scene depends on the seed and its own index alone.

    Attributes:
        classes: the backgrounds and shapes.
        draw_contents: function from random numbers to the contents of each scene.
        style: how shapes are drawn.
        wording: the words of each class.
    """

    classes: SceneClasses
    draw_contents: Callable[[SceneRandom], SceneContents]
    style: SceneStyle
    wording: SceneWording

    def draw_labels(self, seed: int, indices: range) -> NDArray[np.uint8]:
        """Return uint8 (N, C), multi-hot over the names of the classes; an empty range gives (0, C)."""
        return label_contents(self.draw_contents(_make_random(seed, indices)), self.classes)

    def draw_texts(self, seed: int, indices: range) -> NDArray[np.float32]:
        """Return float32 (N, T), word counts over the vocabulary; an empty range gives (0, T)."""
        return write_texts(_make_random(seed, indices), self.draw_labels(seed, indices), self.wording)

    def draw_images(self, seed: int, noise: float, indices: range) -> NDArray[np.uint8]:
        """Return uint8 (N, 3, 32, 32).

        Args:
            seed: seed of the dataset.
            noise: standard deviation of the pixel noise, pixels in [0, 1].
            indices: the images to draw; an empty range gives (0, 3, 32, 32).
        """
        images = np.empty((len(indices), 3, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
        for start in range(0, len(indices), _BATCH_SIZE):
            draws = _make_random(seed, indices[start : start + _BATCH_SIZE])
            pixels = draw_pixels(draws, self.draw_contents(draws), self.classes, self.style)
            pixels += noise * draws.normal("pixel noise", 3, IMAGE_SIZE, IMAGE_SIZE)
            images[start : start + _BATCH_SIZE] = np.rint(255.0 * np.clip(pixels, 0.0, 1.0))
        return images


def _make_random(seed: int, indices: range) -> SceneRandom:
    return SceneRandom(seed, np.array(indices, dtype=np.int64))
