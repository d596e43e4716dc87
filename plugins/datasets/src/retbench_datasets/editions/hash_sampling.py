"""Sampling of splits by the sha256 of ids, which no library version, seed or file order can change."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def hash_order(names: Iterable[str], purpose: str) -> list[str]:
    """Return the names by ascending sha256 of `<purpose>/<name>`: another purpose gives another shuffle."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{purpose}/{name}".encode()).digest())


def draw_uniform(labels: dict[str, NDArray[np.uint8]], purpose: str, count: int) -> list[str]:
    """Return the first `count` names in hash order; fewer if there are fewer candidates.

    Args:
        labels: uint8 (C,) of each candidate, by name.
        purpose: the split to draw.
        count: number of names.
    """
    return hash_order(labels, purpose)[:count]


def draw_balanced(labels: dict[str, NDArray[np.uint8]], purpose: str, count: int) -> list[str]:
    """Return `count` / C names per class, drawn class by class in hash order; fewer if a class has fewer images.

    An image of several classes counts for the class that it was drawn for.

    Args:
        labels: uint8 (C,) of each candidate, by name.
        purpose: the split to draw.
        count: number of names over all classes.
    """
    order = hash_order(labels, purpose)
    if not order:
        return []
    table = np.stack([labels[name] for name in order]).astype(bool)
    remaining, drawn = np.ones(len(order), dtype=bool), []
    for column in range(table.shape[1]):
        rows = np.flatnonzero(table[:, column] & remaining)[: count // table.shape[1]]
        remaining[rows] = False
        drawn += [order[row] for row in rows]
    return drawn
