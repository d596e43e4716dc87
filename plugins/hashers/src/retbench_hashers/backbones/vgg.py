"""VGG without batch normalization, as torchvision has it, without its last layer.

Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR, table 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import Tensor, nn

from retbench_hashers.backbones.features import Features

STAGES: dict[int, tuple[tuple[int, ...], ...]] = {
    11: ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    16: ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
}
"""Channels of the convolutions between two halvings, by depth: configurations A and D."""


class VGG(Features):
    """3 x 3 convolutions, five halvings, two hidden layers of 4096; names and shapes of the weights are torchvision's.

    The last maps of a 224 x 224 image are 7 x 7; those of other image sizes are averaged to that size. Weights are
    initialized as in torchvision (He et al. 2015); with the initialization of `nn.Conv2d`, sixteen layers give all
    images the same features.
    """

    width = 4096
    min_side = 32
    replaced_layer = "classifier.6"

    def __init__(self, depth: Literal[11, 16]) -> None:
        super().__init__()
        self.features = nn.Sequential(*_layers(STAGES[depth]))
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, self.width),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(self.width, self.width),
            nn.ReLU(inplace=True),
            nn.Dropout(),
        )
        self.apply(_initialize)

    def forward(self, images: Tensor) -> Tensor:
        """Return non-negative features (B, 4096)."""
        features: Tensor = self.classifier(self.avgpool(self.features(images)).flatten(1))
        return features


def _layers(stages: tuple[tuple[int, ...], ...]) -> Iterator[nn.Module]:
    inputs = 3
    for stage in stages:
        for outputs in stage:
            yield nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)
            yield nn.ReLU(inplace=True)
            inputs = outputs
        yield nn.MaxPool2d(kernel_size=2, stride=2)


def _initialize(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, std=0.01)
    if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
