"""The shapes of scenes, as signed distances."""

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
        kind: the name of a shape.
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


def _measure_diamond(u: Values, v: Values) -> Values:
    return (1.6 * np.abs(u) + np.abs(v) - 1.0) / math.hypot(1.6, 1.0)


def _measure_hexagon(u: Values, v: Values) -> Values:
    return np.maximum(np.abs(v), math.sqrt(0.75) * np.abs(u) + 0.5 * np.abs(v)) - 0.87


def _measure_crescent(u: Values, v: Values) -> Values:
    return np.maximum(np.hypot(u, v) - 1.0, 0.85 - np.hypot(u - 0.5, v))


def _measure_heart(u: Values, v: Values) -> Values:
    """Unite a square that stands on a corner with the circles whose diameters are its upper sides."""
    radius, middle = 0.55, 0.1
    right, down = np.abs(u), v - middle
    lobe = np.hypot(right - math.sqrt(0.5) * radius, down + math.sqrt(0.5) * radius) - radius
    return np.minimum(lobe, math.sqrt(0.5) * (right + np.abs(down)) - radius)


def _measure_arrow(u: Values, v: Values) -> Values:
    head = np.maximum(math.sqrt(0.5) * (np.abs(u) - v - 1.0), v + 0.05)
    shaft = np.maximum(np.abs(u) - 0.28, np.abs(v - 0.475) - 0.525)
    return np.minimum(head, shaft)


def _measure_frame(u: Values, v: Values) -> Values:
    return np.abs(np.maximum(np.abs(u), np.abs(v)) - 0.62) - 0.2


def _measure_dome(u: Values, v: Values) -> Values:
    return np.maximum(np.hypot(u, v - 0.45) - 1.0, v - 0.45)


def _measure_hourglass(u: Values, v: Values) -> Values:
    return np.maximum((np.abs(u) - 0.85 * np.abs(v) - 0.05) / math.hypot(1.0, 0.85), np.abs(v) - 0.85)


def _measure_pill(u: Values, v: Values) -> Values:
    return np.hypot(np.maximum(np.abs(u) - 0.5, 0.0), v) - 0.5


def _measure_tee(u: Values, v: Values) -> Values:
    top = np.maximum(np.abs(u) - 0.9, np.abs(v + 0.55) - 0.3)
    stem = np.maximum(np.abs(u) - 0.3, np.abs(v - 0.05) - 0.85)
    return np.minimum(top, stem)


_DISTANCES: dict[str, Callable[[Values, Values], Values]] = {
    "circle": _measure_circle,
    "square": _measure_square,
    "triangle": _measure_triangle,
    "ring": _measure_ring,
    "cross": _measure_cross,
    "star": _measure_star,
    "diamond": _measure_diamond,
    "hexagon": _measure_hexagon,
    "crescent": _measure_crescent,
    "heart": _measure_heart,
    "arrow": _measure_arrow,
    "frame": _measure_frame,
    "dome": _measure_dome,
    "hourglass": _measure_hourglass,
    "pill": _measure_pill,
    "tee": _measure_tee,
}
