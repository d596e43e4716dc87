"""CNN-F, also called VGG-F, without its last layer.

Chatfield et al. 2014, "Return of the Devil in the Details: Delving Deep into Convolutional Nets", BMVC, table 1.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retbench_hashers.deep_network import MEAN
from retbench_hashers.features import Features

Lrn = Literal["port", "exact"]
"""Which local response normalisation."""


class _Window(NamedTuple):
    """How many neighbouring channels are summed, and a factor of the sum that torch divides by that number."""

    size: int
    alpha: float


WINDOWS: dict[Lrn, _Window] = {"port": _Window(2, 1e-4), "exact": _Window(5, 5e-4)}
"""The published network divides x by (2 + 1e-4 * the sum of x^2 over five channels)^0.75: `exact`. The PyTorch code of
DCMH, DADH, CPAH and DGCPN sums over a channel and the one before it, times 5e-5: `port`."""


class CnnF(Features):
    """Five convolutions and two hidden layers of 4096; the weights carry the names of MatConvNet's layers.

    Images, kernels and mean image are upright; the code of DCMH, DADH and DGCPN transposes all three, which computes
    the same. The mean image is a buffer, so that it is part of the state and moves with the weights. Without a file
    it has the mean colour of ImageNet everywhere.

    Args:
        lrn: the local response normalisation after the first two convolutions.
        extra_padding: one more pixel of padding on every side before the first maximum, as in the code of DADH, CPAH
            and AGAH. All later maps are then shifted against the published network's, and features differ.
    """

    width = 4096
    smallest_side = 224
    replaced = "fc8"
    mean: Tensor

    def __init__(self, lrn: Lrn = "port", extra_padding: bool = False) -> None:
        super().__init__()
        mean = 255 * torch.tensor(MEAN).reshape(3, 1, 1)
        self.register_buffer("mean", mean.repeat(1, self.smallest_side, self.smallest_side))
        self.conv1 = nn.Conv2d(3, 64, kernel_size=11, stride=4)
        self.conv2 = nn.Conv2d(64, 256, kernel_size=5, padding=2)
        self.conv3 = nn.Conv2d(256, 256, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(256, 256, kernel_size=3, padding=1)
        self.conv5 = nn.Conv2d(256, 256, kernel_size=3, padding=1)
        self.fc6 = nn.Conv2d(256, self.width, kernel_size=6)
        self.fc7 = nn.Conv2d(self.width, self.width, kernel_size=1)
        self.norm = nn.LocalResponseNorm(*WINDOWS[lrn], beta=0.75, k=2.0)
        # Nothing is negative here, so zeros around the maps change no maximum.
        self.pool1 = nn.Sequential(
            nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(kernel_size=3, stride=2, padding=int(extra_padding))
        )
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        """Returns features (B, 4096), none negative, of images (B, 3, 224, 224) in [0, 1].

        Pixels are moved to 0..255 less the mean image in here, so that attacks see [0, 1].
        """
        maps = self.pool1(self.norm(F.relu(self.conv1(255 * images - self.mean))))
        maps = self.pool(self.norm(F.relu(self.conv2(maps))))
        maps = F.relu(self.conv4(F.relu(self.conv3(maps))))
        maps = self.pool(F.relu(self.conv5(maps)))
        return F.relu(self.fc7(F.relu(self.fc6(maps)))).flatten(1)
