"""Convolution blocks of the generators.

The attribute names inside a block are keys of stored weights and must not change.
"""

from __future__ import annotations

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two convolutions whose output is added to their input.

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
        output: Tensor = features + self.change(features)
        return output


def conv_norm_relu(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """Return the convolution followed by instance normalization and ReLU."""
    return nn.Sequential(convolution, nn.InstanceNorm2d(convolution.out_channels), nn.ReLU())


def upsampling_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return a transposed convolution that doubles the resolution, followed by instance normalization and ReLU."""
    return conv_norm_relu(nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False))
