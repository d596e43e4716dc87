"""Which training images belong together."""

from __future__ import annotations

from torch import Tensor


def pair_similarity(labels: Tensor, rows: Tensor) -> Tensor:
    """Returns float32 (B, N): 1 where training image `rows[i]` shares a class with image j, else 0.

    A row without labels is similar to nothing, itself included.
    """
    counts = labels[rows].float() @ labels.T.float()
    return (counts > 0).float()
