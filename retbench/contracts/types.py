"""Plain values that the methods of components take and return."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

State = dict[str, Tensor]
"""The result of a `fit`: tensors by name, stored as they are and loaded onto the device of the run."""


class Batch(NamedTuple):
    """Queries with the attacker's targets.

    Attributes:
        ids: query ids, B in number.
        images: clean images, float32 (B, 3, H, W) in [0, 1].
        labels: labels of the queries, multi-hot uint8 (B, C).
        target_labels: target label vectors, multi-hot uint8 (B, C); the same for all attacks of a suite. All 0 for a
            query without a possible target, which only untargeted attacks are given.
        target_rows: database row that each target label vector was drawn from, int64 (B,); -1 without a target.
        target_texts: texts of these rows, float32 (B, T), all 0 without a target; None for an attack that does not need
            `target_texts`.
    """

    ids: tuple[str, ...]
    images: Tensor
    labels: Tensor
    target_labels: Tensor
    target_rows: Tensor
    target_texts: Tensor | None = None
