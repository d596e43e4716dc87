"""The network of every hasher here."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retbench import HashNetwork
from retbench_hashers.features import Features

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the red, green and blue of ImageNet's training images in [0, 1], as torchvision's weights were trained with."""


class DeepNetwork(HashNetwork):
    """Features and the hash layer above them; with `normalise`, ImageNet's mean and deviation below them."""

    def __init__(self, features: Features, bits: int, normalise: bool = False) -> None:
        super().__init__()
        self.pixels = _Normalisation() if normalise else nn.Identity()
        self.features = features
        self.hash = nn.Linear(features.width, bits)
        if features.hash_std is not None:
            nn.init.normal_(self.hash.weight, std=features.hash_std)
            nn.init.zeros_(self.hash.bias)

    def image(self, images: Tensor) -> Tensor:
        logits: Tensor = self.hash(self.features(self.pixels(images)))
        return logits


class _Normalisation(nn.Module):
    """Its numbers are part of the state, which a network laid out on the meta device is filled from."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).reshape(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).reshape(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std
