"""The discriminator that a generator is trained against, and its loss."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

REAL, FAKE = 0.0, 1.0
"""Last target value of the discriminator: for a real and for a generated image."""


class Discriminator(nn.Module):
    """Predicts an image's classes, and a flag that is 0 for a real image and 1 for a generated one.

    Its convolutions have spectral norm 1 (Miyato et al. 2018), by one power iteration per forward pass. Torch's
    parametrization differs from the published code in two points: it starts with 15 iterations instead of one, and
    makes none in eval mode, which this network never enters.

    Args:
        classes: C.
        size: height and width of the images, at least 2^depth.
        width: channels of the first convolution; each further one doubles them. Published: 64.
        depth: convolutions that halve the resolution, before a last one over the whole remaining map. Published: 5.

    Source: the code of ProS-GAN; TA-DCH has the same.
    """

    def __init__(self, classes: int, size: tuple[int, int], width: int = 64, depth: int = 5) -> None:
        super().__init__()
        widths = [3, *(width << step for step in range(depth))]
        layers: list[nn.Module] = []
        for in_channels, out_channels in itertools.pairwise(widths):
            layers += [spectral_norm(nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1)), nn.LeakyReLU(0.01)]
        remaining = (size[0] >> depth, size[1] >> depth)
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], classes + 1, remaining, bias=False), nn.Flatten())

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, C + 1), unbounded, of images (B, 3, H, W) in [-1, 1]."""
        scores: Tensor = self.layers(images)
        return scores


def discriminator_error(scores: Tensor, labels: Tensor, flag: float) -> Tensor:
    """Return the mean squared error of the discriminator's scores (B, C + 1) to labels (B, C) and a flag."""
    return F.mse_loss(scores, F.pad(labels, (0, 1), value=flag))
