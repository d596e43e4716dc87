"""The contents of scenes: one background and some kinds of shape each, and the labels that these are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NO_SHAPE = -1


class SceneClasses(NamedTuple):
    """The classes of a design of scenes: names of backgrounds and of kinds of shape, in the order of label columns."""

    backgrounds: tuple[str, ...]
    shapes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All names, backgrounds first."""
        return self.backgrounds + self.shapes


class SceneContents(NamedTuple):
    """The contents of N scenes with at most S shapes each.

    Attributes:
        backgrounds: int64 (N,), indices into the backgrounds of the classes.
        shapes: int64 (N, S), different indices into the shapes of the classes, or NO_SHAPE; never in the first column.
    """

    backgrounds: NDArray[np.int64]
    shapes: NDArray[np.int64]


def label_contents(contents: SceneContents, classes: SceneClasses) -> NDArray[np.uint8]:
    """Return uint8 (N, C), multi-hot over the names of the classes: the background and every shape."""
    columns = np.concatenate([contents.backgrounds[:, None], contents.shapes + len(classes.backgrounds)], axis=1)
    shown = np.concatenate([contents.backgrounds[:, None], contents.shapes], axis=1) != NO_SHAPE
    labels = np.zeros((len(columns), len(classes.names)), dtype=np.uint8)
    rows, slots = np.nonzero(shown)
    labels[rows, columns[rows, slots]] = 1
    return labels
