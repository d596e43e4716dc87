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
    """Four stages of residual blocks and global average pooling; names and shapes of the weights are torchvision's.

    The 3 x 3 convolution of a bottleneck has the stride, as in torchvision; in the paper the first convolution has it.
    The hash layer is initialized from N(0, 0.01^2), as in the code of ProS-GAN.
    """

    min_side = 32
    hash_layer_std = 0.01
    replaced_layer = "fc"

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
        """Return non-negative features: (B, 512) with 18 layers, (B, 2048) with 50."""
        maps = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        features: Tensor = self.avgpool(maps).flatten(1)
        return features


class _BasicBlock(nn.Module):
    """Two 3 x 3 convolutions, added to the input."""

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


class _BottleneckBlock(nn.Module):
    """A 3 x 3 convolution between two 1 x 1 ones, the last four times as wide, added to the input."""

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


BLOCKS: dict[int, tuple[type[_BasicBlock | _BottleneckBlock], tuple[int, ...]]] = {
    18: (_BasicBlock, (2, 2, 2, 2)),
    50: (_BottleneckBlock, (3, 4, 6, 3)),
}
"""Kind of block and number of blocks in each stage, by depth."""


def _stage(
    block: type[_BasicBlock | _BottleneckBlock], inputs: int, channels: int, count: int, stride: int
) -> nn.Sequential:
    first = block(inputs, channels, stride)
    return nn.Sequential(first, *(block(channels * block.expansion, channels, 1) for _ in range(count - 1)))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Return a projection if the block changes the shape, otherwise the identity, which has no weights."""
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    projection = nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)
    return nn.Sequential(projection, nn.BatchNorm2d(outputs))


def _initialize(layer: nn.Module) -> None:
    """Initialize the weights of a convolution as torchvision does (He et al. 2015)."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
