"""Residual networks, as torchvision has them, without their last layer.

He, Zhang, Ren and Sun 2016, "Deep Residual Learning for Image Recognition", CVPR, table 1.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from retbench_hashers.backbones.features import Features

CHANNELS = (64, 128, 256, 512)


class ResNet(Features):
    """Four stages of residual blocks, a mean over the grid; names and shapes of the weights are torchvision's.

    The stride of a bottleneck is that of its 3 x 3 convolution, as in torchvision, not of its first one, as in the
    paper. The hash layer above starts from N(0, 0.01^2), as in the code of ProS-GAN.
    """

    smallest_side = 32
    hash_std = 0.01
    replaced = "fc"

    def __init__(self, depth: Literal[18, 50]) -> None:
        super().__init__()
        block, counts = BLOCKS[depth]
        self.width = CHANNELS[-1] * block.expansion
        self.conv1 = nn.Conv2d(3, CHANNELS[0], kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(CHANNELS[0])
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        widths = (CHANNELS[0], *(channels * block.expansion for channels in CHANNELS))
        stages = zip(widths[:-1], CHANNELS, counts, (1, 2, 2, 2), strict=True)
        self.layer1, self.layer2, self.layer3, self.layer4 = (_stage(block, *stage) for stage in stages)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.apply(_initialize)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (B, 512) of 18 layers or (B, 2048) of 50, none negative."""
        maps = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        features: Tensor = self.avgpool(maps).flatten(1)
        return features


class _Basic(nn.Module):
    """Two 3 x 3 convolutions, added to what came in."""

    expansion = 1

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(inputs, channels, stride)

    def forward(self, maps: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(maps)))))
        return torch.relu(residual + self.downsample(maps))


class _Bottleneck(nn.Module):
    """A 3 x 3 convolution between two 1 x 1 ones, the last four times as wide, added to what came in."""

    expansion = 4

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        outputs = channels * self.expansion
        self.conv1 = nn.Conv2d(inputs, channels, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, outputs, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, maps: Tensor) -> Tensor:
        residual = torch.relu(self.bn1(self.conv1(maps)))
        residual = torch.relu(self.bn2(self.conv2(residual)))
        return torch.relu(self.bn3(self.conv3(residual)) + self.downsample(maps))


BLOCKS: dict[int, tuple[type[_Basic | _Bottleneck], tuple[int, ...]]] = {
    18: (_Basic, (2, 2, 2, 2)),
    50: (_Bottleneck, (3, 4, 6, 3)),
}
"""The block, and how many of them each stage has, by depth."""


def _stage(block: type[_Basic | _Bottleneck], inputs: int, channels: int, count: int, stride: int) -> nn.Sequential:
    first = block(inputs, channels, stride)
    return nn.Sequential(first, *(block(channels * block.expansion, channels, 1) for _ in range(count - 1)))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Return the identity, without a weight, or a projection where a block changes the shape."""
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    projection = nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)
    return nn.Sequential(projection, nn.BatchNorm2d(outputs))


def _initialize(layer: nn.Module) -> None:
    """Draw a convolution's weights as torchvision does (He et al. 2015)."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
