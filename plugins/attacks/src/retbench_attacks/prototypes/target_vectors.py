"""Draws of the targets that the networks of an attack are trained on."""

from __future__ import annotations

import torch
from torch import Tensor

from retbench import Noise


def distinct_label_vectors(labels: Tensor) -> Tensor:
    """Return float (D, C): the distinct label vectors of `labels` (M, C), the all-zero vector included."""
    distinct: Tensor = torch.unique(labels, dim=0)
    return distinct.float()


def draw_targets(targets: Tensor, count: int, noise: Noise, step: int) -> Tensor:
    """Return `count` rows of `targets` (D, ...), drawn uniformly with replacement.

    The draw is keyed by `step`, so a resumed training draws the same targets. Row numbers are computed in float64,
    because a float32 product could round up to D.

    Source: the codes of ProS-GAN and ATRDH.
    """
    fractions = noise.uniform("targets", (count,), step)[0].double()
    return targets[(fractions * len(targets)).long()]
