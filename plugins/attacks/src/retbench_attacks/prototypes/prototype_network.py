"""The prototype network of ProS-GAN and THA: from a label vector to a semantic vector and a code.

Wang, Zhang, Wu, Shen and Lu 2021, "Prototype-supervised Adversarial Network for Targeted Attack of Deep Hashing", CVPR.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Prototypes(NamedTuple):
    """Outputs of a prototype network for a batch of targets.

    Attributes:
        semantics: float (B, semantic), unbounded; for TA-DCH maps (B, width, 16, 16) in (-1, 1).
        codes: float (B, K) in (-1, 1); their signs are the prototype codes.
        labels: float (B, C) in (0, 1), the predicted labels; None for a network without a label head.
    """

    semantics: Tensor
    codes: Tensor
    labels: Tensor | None


class PrototypeNetwork(nn.Module):
    """Two linear layers from labels to semantics, a linear head for the code and, if `reconstruct`, one for the labels.

    With 4096 and 512 units it is the "four-layer" network of ProS-GAN; without the label head, that of THA.

    Args:
        classes: C, length of a label vector.
        bits: K, length of a code.
        hidden: units of the first layer.
        semantic: length of the semantic vector.
        reconstruct: whether there is a label head.

    Source: Wang et al. 2021, section 3.2; the code of ProS-GAN.
    """

    def __init__(
        self, classes: int, bits: int, hidden: int = 4096, semantic: int = 512, reconstruct: bool = True
    ) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(classes, hidden), nn.ReLU(), nn.Linear(hidden, semantic))
        self.code_head = nn.Linear(semantic, bits)
        self.label_head = nn.Linear(semantic, classes) if reconstruct else None

    def forward(self, labels: Tensor) -> Prototypes:
        """Return the outputs for float labels (B, C)."""
        semantics = self.trunk(labels)
        codes = torch.tanh(self.code_head(semantics))
        return Prototypes(semantics, codes, torch.sigmoid(self.label_head(semantics)) if self.label_head else None)
