"""The blocks that generators are built of.

Their names inside a block are the keys of trained weights: they stay.
"""

from __future__ import annotations

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two convolutions around which the input is carried.

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            conv_norm_relu(nn.Conv2d(width, width, 3, padding=1, bias=False)),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.InstanceNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        changed: Tensor = features + self.change(features)
        return changed


def conv_norm_relu(convolution: nn.Module) -> nn.Sequential:
    """Return the convolution, its outputs standardized over each image and channel, then rectified."""
    return nn.Sequential(convolution, nn.InstanceNorm2d(convolution.out_channels), nn.ReLU())


def upsampling_block(before: int, after: int) -> nn.Sequential:
    """Return a transposed convolution that doubles the resolution, its outputs standardized, then rectified."""
    return conv_norm_relu(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False))
