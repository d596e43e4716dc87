"""The six shapes of a scene, as signed distances."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def measure_shape(kind: str, u: Values, v: Values) -> Values:
    """Return the signed distance of every point to the outline of a shape, in radii, negative inside.

    Beyond a corner it is the distance to the line through the nearer edge, which is enough to smooth an outline.

    Args:
        kind: a name of SHAPES.
        u: coordinate to the right of the center, in radii; any array shape.
        v: coordinate downward from the center, in radii, shaped like `u`.
    """
    return _DISTANCES[kind](u, v)


def _measure_circle(u: Values, v: Values) -> Values:
    return np.hypot(u, v) - 1.0


def _measure_square(u: Values, v: Values) -> Values:
    return np.maximum(np.abs(u), np.abs(v)) - 0.8


def _measure_triangle(u: Values, v: Values) -> Values:
    slant = math.sqrt(0.75) * np.abs(u) - 0.5 * v
    return np.maximum(slant, v) - 0.55


def _measure_ring(u: Values, v: Values) -> Values:
    return np.abs(np.hypot(u, v) - 0.8) - 0.2


def _measure_cross(u: Values, v: Values) -> Values:
    long, short = np.maximum(np.abs(u), np.abs(v)), np.minimum(np.abs(u), np.abs(v))
    return np.maximum(long - 1.0, short - 0.27)


def _measure_star(u: Values, v: Values) -> Values:
    """Fold all ten edges of the five points into one edge: a tenth of the circle, from a tip to a notch."""
    tenth, notch = math.pi / 5, 0.45
    turn = np.abs((np.arctan2(u, -v) + tenth) % (2 * tenth) - tenth)
    radius = np.hypot(u, v)
    along, aside = radius * np.cos(turn), radius * np.sin(turn)
    edge_along, edge_aside = notch * math.cos(tenth) - 1.0, notch * math.sin(tenth)
    return ((along - 1.0) * edge_aside - aside * edge_along) / math.hypot(edge_along, edge_aside)


_DISTANCES: dict[str, Callable[[Values, Values], Values]] = {
    "circle": _measure_circle,
    "square": _measure_square,
    "triangle": _measure_triangle,
    "ring": _measure_ring,
    "cross": _measure_cross,
    "star": _measure_star,
}
