"""Label vectors that an attack's networks are trained to aim at."""

from __future__ import annotations

import torch
from torch import Tensor

from retbench import Noise


def distinct_label_vectors(labels: Tensor) -> Tensor:
    """Return float (D, C): each label vector of `labels` (M, C) once, the rare ones and the all-zero one too."""
    return torch.unique(labels, dim=0).float()


def draw_targets(vectors: Tensor, count: int, noise: Noise, step: int) -> Tensor:
    """Return (count, C): rows of `vectors` (D, C), each drawn uniformly and with replacement.

    The draw is keyed by `step`, so that a training that resumes draws what it would have drawn. It is made in float64,
    because a float32 product could round up to D.

    Source: the codes of ProS-GAN and ATRDH.
    """
    fractions = noise.uniform("targets", (count,), step)[0].double()
    return vectors[(fractions * len(vectors)).long()]
