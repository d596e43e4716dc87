"""The plain values that cross a contract."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

State = dict[str, Tensor]
"""What a `fit` leaves behind: named tensors, saved as they are and handed back on the device of the run."""


class Batch(NamedTuple):
    """Some queries and what the attacker wants of them.

    Attributes:
        ids: query ids, B of them.
        images: float32 (B, 3, H, W) in [0, 1], clean.
        labels: uint8 (B, C), multi-hot.
        target_labels: uint8 (B, C), multi-hot: the label vector the attacker aims at, shared by every attack.
        target_rows: int64 (B,), the database row each target label vector was drawn from.
        target_texts: float32 (B, T), the texts of those rows; None for an attack that does not need `target_texts`.
    """

    ids: tuple[str, ...]
    images: Tensor
    labels: Tensor
    target_labels: Tensor
    target_rows: Tensor
    target_texts: Tensor | None = None
