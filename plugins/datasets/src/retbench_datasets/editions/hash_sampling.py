"""Sampling of splits by the sha256 of ids: no library, seed or order of files can change them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def hash_order(names: Iterable[str], purpose: str) -> list[str]:
    """Returns the names by ascending sha256 of `<purpose>/<name>`: another purpose is another shuffle."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{purpose}/{name}".encode()).digest())


def draw_any(labels: dict[str, NDArray[np.uint8]], purpose: str, count: int) -> list[str]:
    """Returns the first `count` names in hash order; fewer where there are fewer.

    Args:
        labels: uint8 (C,) of each candidate, by name.
        purpose: the split drawn.
        count: how many.
    """
    return hash_order(labels, purpose)[:count]


def draw_balanced(labels: dict[str, NDArray[np.uint8]], purpose: str, count: int) -> list[str]:
    """Returns `count` / C names for each class: for one class after the other the first in hash order not drawn yet.

    A picture of several classes counts for the class that it was drawn for. Arguments as for `draw_any`.
    """
    order = hash_order(labels, purpose)
    if not order:
        return []
    table = np.stack([labels[name] for name in order]).astype(bool)
    free, drawn = np.ones(len(order), dtype=bool), []
    for column in range(table.shape[1]):
        rows = np.flatnonzero(table[:, column] & free)[: count // table.shape[1]]
        free[rows] = False
        drawn += [order[row] for row in rows]
    return drawn
