"""The network that fuses a target's label vector and text into a map of semantics and a prototype code.

The codes of TA-DCH have it; its attention is that of Dai, Gieseke, Oehmcke, Wu and Barnard 2021, "Attentional Feature
Fusion", WACV.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retbench_attacks.prototypes.prototype_net import Prototypes

MAP = 16
"""Height and width of the map of semantics, whatever the images."""


class FusionNet(nn.Module):
    """Spreads labels and text over a map each, blends the two, and reads a code and the labels from the blend.

    With L and X the maps of labels and text, the blend is F = L w + X (1 - w), the weights w in (0, 1) an attention to
    a first blend of the same kind, whose weights are an attention to L + X.

    Args:
        classes: C, length of a label vector.
        texts: T, length of a text vector.
        bits: K, length of a code.
        hidden: units of the first layer of each branch.
        width: channels of the maps, a multiple of 4.

    Source: the code of TA-DCH, whose net has 4096 hidden units and a width of 64.
    """

    def __init__(self, classes: int, texts: int, bits: int, hidden: int = 4096, width: int = 64) -> None:
        super().__init__()
        self.labels, self.texts = _branch(classes, hidden, width), _branch(texts, hidden, width)
        self.first, self.second = Attention(width), Attention(width)
        halvings = [*_standardised(width, 2 * width, 4, 2), *_standardised(2 * width, 4 * width, 4, 2)]
        self.trunk = nn.Sequential(*halvings, nn.Flatten())
        features = 4 * width * (MAP // 4) ** 2
        self.code_head, self.label_head = nn.Linear(features, bits), nn.Linear(features, classes)

    def forward(self, labels: Tensor, texts: Tensor) -> Prototypes:
        """Returns the prototypes of float labels (B, C) and texts (B, T); in training, B is at least 2."""
        label_map, text_map = self.labels(labels), self.texts(texts)
        blend = torch.lerp(text_map, label_map, self.first(label_map + text_map))
        blend = torch.lerp(text_map, label_map, self.second(blend))
        features = self.trunk(blend)
        return Prototypes(blend, torch.tanh(self.code_head(features)), torch.sigmoid(self.label_head(features)))


class Attention(nn.Module):
    """Weighs each channel and place of a map by what is there and by the channels' means.

    Args:
        width: channels of the map, a multiple of 4.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.local, self.overall = _bottleneck(width), _bottleneck(width)

    def forward(self, features: Tensor) -> Tensor:
        """Returns weights (B, width, H, W) in (0, 1) of a map of this shape."""
        means = features.mean(dim=(2, 3), keepdim=True)
        return torch.sigmoid(self.local(features) + self.overall(means))


def _branch(length: int, hidden: int, width: int) -> nn.Sequential:
    """Returns what spreads a vector over a map: two linear layers to twice the resolution, two convolutions."""
    shape = (width // 4, 2 * MAP, 2 * MAP)
    linear = [nn.Linear(length, hidden), nn.ReLU(), nn.Linear(hidden, width // 4 * (2 * MAP) ** 2)]
    halving, smoothing = _standardised(width // 4, width // 2, 4, 2), _standardised(width // 2, width, 5, 1)
    return nn.Sequential(*linear, nn.Unflatten(1, shape), *halving, *smoothing)


def _standardised(before: int, after: int, kernel: int, stride: int) -> list[nn.Module]:
    """Returns a convolution, its outputs standardised over each image and channel, and tanh."""
    convolution = nn.Conv2d(before, after, kernel, stride, padding=(kernel - 1) // 2)
    return [convolution, nn.InstanceNorm2d(after), nn.Tanh()]


def _bottleneck(width: int) -> nn.Sequential:
    narrow = [nn.Conv2d(width, width // 4, 1), nn.BatchNorm2d(width // 4), nn.ReLU()]
    return nn.Sequential(*narrow, nn.Conv2d(width // 4, width, 1), nn.BatchNorm2d(width))
