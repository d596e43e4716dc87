"""Similarity of training items by their classes."""

from __future__ import annotations

from torch import Tensor


def pair_similarity(labels: Tensor, rows: Tensor) -> Tensor:
    """Return which training items share a class: float32 (B, N), 1 if item `rows[i]` shares one with item j, else 0.

    An item without labels is similar to no item, not even to itself.
    """
    counts = labels[rows].float() @ labels.T.float()
    return (counts > 0).float()
