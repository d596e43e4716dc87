"""The network that a generator is trained against, and its loss."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

REAL, FAKE = 0.0, 1.0
"""The flag of a real image and of a generated one."""


class Discriminator(nn.Module):
    """Reads an image's classes, and a flag that is 0 for a real image and 1 for a generated one.

    Its convolutions are kept at spectral norm 1 (Miyato et al. 2018) by one power iteration a forward pass. Torch's
    parametrization does it, which differs from the published code in that it starts from 15 iterations in place of
    one, and rests in eval mode, in which this network is never used.

    Args:
        classes: C.
        size: height and width of the images, at least 2^depth.
        width: channels of the first convolution, upsampling_block by each further one; the published ones are 64.
        depth: halvings of the resolution before a last convolution over all that is left; 5 are published.

    Source: the code of ProS-GAN; TA-DCH has the same.
    """

    def __init__(self, classes: int, size: tuple[int, int], width: int = 64, depth: int = 5) -> None:
        super().__init__()
        widths = [3, *(width << step for step in range(depth))]
        layers: list[nn.Module] = []
        for narrow, wide in itertools.pairwise(widths):
            layers += [spectral_norm(nn.Conv2d(narrow, wide, 4, stride=2, padding=1)), nn.LeakyReLU(0.01)]
        rest = (size[0] >> depth, size[1] >> depth)
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], classes + 1, rest, bias=False), nn.Flatten())

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, C + 1), unbounded, of images (B, 3, H, W) in [-1, 1]."""
        scores: Tensor = self.layers(images)
        return scores


def discriminator_error(scores: Tensor, labels: Tensor, flag: float) -> Tensor:
    """Return the mean squared error of a discriminator's scores (B, C + 1) against labels (B, C) and a flag."""
    return F.mse_loss(scores, F.pad(labels, (0, 1), value=flag))
