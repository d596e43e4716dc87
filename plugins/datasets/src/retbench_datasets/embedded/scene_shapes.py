"""The six shapes of a scene, as signed distances."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]


def measure_shape(kind: str, u: Field, v: Field) -> Field:
    """Returns the signed distance of every point to a shape's outline, negative inside, in the shape's radii.

    Args:
        kind: a name of SHAPES.
        u: coordinate to the shape's right in radii, 0 at its center; any shape.
        v: coordinate downwards, shaped like `u`.

    Beyond a corner the distance is that to the nearer edge's line, which is enough to smooth an outline.
    """
    return _DISTANCES[kind](u, v)


def _circle(u: Field, v: Field) -> Field:
    return np.hypot(u, v) - 1.0


def _square(u: Field, v: Field) -> Field:
    return np.maximum(np.abs(u), np.abs(v)) - 0.8


def _triangle(u: Field, v: Field) -> Field:
    slant = math.sqrt(0.75) * np.abs(u) - 0.5 * v
    return np.maximum(slant, v) - 0.55


def _ring(u: Field, v: Field) -> Field:
    return np.abs(np.hypot(u, v) - 0.8) - 0.2


def _cross(u: Field, v: Field) -> Field:
    long, short = np.maximum(np.abs(u), np.abs(v)), np.minimum(np.abs(u), np.abs(v))
    return np.maximum(long - 1.0, short - 0.27)


def _star(u: Field, v: Field) -> Field:
    """Five points: all ten edges are one edge, seen in a tenth of the circle between a tip and a notch."""
    tenth, notch = math.pi / 5, 0.45
    turn = np.abs((np.arctan2(u, -v) + tenth) % (2 * tenth) - tenth)
    radius = np.hypot(u, v)
    along, aside = radius * np.cos(turn), radius * np.sin(turn)
    edge_along, edge_aside = notch * math.cos(tenth) - 1.0, notch * math.sin(tenth)
    return ((along - 1.0) * edge_aside - aside * edge_along) / math.hypot(edge_along, edge_aside)


_DISTANCES: dict[str, Callable[[Field, Field], Field]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "ring": _ring,
    "cross": _cross,
    "star": _star,
}
