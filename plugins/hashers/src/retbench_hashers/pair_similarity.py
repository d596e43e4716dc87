"""Which training items share a class."""

from __future__ import annotations

from torch import Tensor


def pair_similarity(labels: Tensor, rows: Tensor) -> Tensor:
    """Return float32 (B, N): 1 where training item `rows[i]` shares a class with item j, else 0.

    An item without labels is similar to none, itself included.
    """
    counts = labels[rows].float() @ labels.T.float()
    return (counts > 0).float()
