"""The network of every cross-modal hasher here."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retbench import HashNetwork


class CrossModalNetwork(HashNetwork):
    """Two branches that end in one code: features and a head for images, a head for texts.

    Args:
        features: float images (B, 3, H, W) in [0, 1] to features (B, F).
        image_head: features (B, F) to logits (B, K).
        text_head: texts (B, T) to logits (B, K).
        text_width: T.
        bits: K.
    """

    sizes: Tensor

    def __init__(
        self, features: nn.Module, image_head: nn.Module, text_head: nn.Module, text_width: int, bits: int
    ) -> None:
        super().__init__()
        self.features, self.image_head, self.text_head = features, image_head, text_head
        # Part of the state, from which alone the network is built again.
        self.register_buffer("sizes", torch.tensor([text_width, bits]))

    def image(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images))

    def from_features(self, features: Tensor) -> Tensor:
        logits: Tensor = self.image_head(features)
        return logits

    def text(self, texts: Tensor) -> Tensor:
        logits: Tensor = self.text_head(texts)
        return logits
