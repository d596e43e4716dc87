"""The networks of ProS-GAN: label decoder, generator and discriminator, as its code has them.

The paper adapts the networks of Zhu et al. 2017 (CycleGAN); the code is nearer to Choi et al. 2018 (StarGAN): strided
4 x 4 convolutions, no reflection padding, and the clean image a second time in front of the last convolution. Its
decoder has one convolution more than the paper's text, and it concatenates where RetPur's equation 8 adds.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

DOUBLINGS = 4
"""How often the decoder doubles its resolution: images are a multiple of 16 high and wide."""


class Decoder(nn.Module):
    """Spreads a semantic representation over an image: a linear layer, four doublings, a convolution to 3 channels.

    Args:
        semantic: length of the representation.
        size: height and width of the image.
        width: channels at the lowest resolution, halved by each doubling; the published ones are 128.
    """

    def __init__(self, semantic: int, size: tuple[int, int], width: int = 128) -> None:
        super().__init__()
        self.shape = (width, size[0] >> DOUBLINGS, size[1] >> DOUBLINGS)
        self.linear = nn.Linear(semantic, width * self.shape[1] * self.shape[2])
        widths = [width >> step for step in range(DOUBLINGS + 1)]
        doublings = [doubled(wide, narrow) for wide, narrow in itertools.pairwise(widths)]
        self.doublings = nn.Sequential(*doublings, nn.Conv2d(widths[-1], 3, 3, padding=1, bias=False))

    def forward(self, semantics: Tensor) -> Tensor:
        """Returns (B, 3, H, W), unbounded, of semantics (B, semantic)."""
        spread = torch.relu(self.linear(semantics)).unflatten(1, self.shape)
        picture: Tensor = self.doublings(spread)
        return picture


class Generator(nn.Module):
    """Redraws an image so that it answers like a target: from the image and the target's semantics to another image.

    Args:
        semantic: length of the semantic representation.
        size: height and width of the images, multiples of 16.
        width: channels of the first convolution, quadrupled inside; the published ones are 64.
        blocks: residual blocks; 6 are published.
        decoder_width: channels of the decoder's lowest resolution.
    """

    def __init__(
        self, semantic: int, size: tuple[int, int], width: int = 64, blocks: int = 6, decoder_width: int = 128
    ) -> None:
        super().__init__()
        self.decoder = Decoder(semantic, size, decoder_width)
        self.trunk = nn.Sequential(
            normalised(nn.Conv2d(6, width, 7, padding=3)),
            normalised(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)),
            normalised(nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1)),
            *[Residual(4 * width) for _ in range(blocks)],
            doubled(4 * width, 2 * width),
            doubled(2 * width, width),
        )
        self.last = nn.Conv2d(width + 3, 3, 3, padding=1, bias=False)

    def forward(self, images: Tensor, semantics: Tensor) -> Tensor:
        """Returns images (B, 3, H, W) in (-1, 1) for images in [-1, 1] and semantics (B, semantic)."""
        features = self.trunk(torch.cat([self.decoder(semantics), images], dim=1))
        return torch.tanh(self.last(torch.cat([features, images], dim=1)))


class Residual(nn.Module):
    """Two convolutions around which the input is carried."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            normalised(nn.Conv2d(width, width, 3, padding=1, bias=False)),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.InstanceNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Returns features of the same shape."""
        changed: Tensor = features + self.change(features)
        return changed


class Discriminator(nn.Module):
    """Reads an image's classes, and a flag that is 0 for a real image and 1 for a generated one.

    Its convolutions are kept at spectral norm 1 (Miyato et al. 2018) by one power iteration a forward pass. Torch's
    parametrisation does it, which differs from the published code in that it starts from 15 iterations in place of
    one, and rests in eval mode, in which this network is never used.

    Args:
        classes: C.
        size: height and width of the images, at least 2^depth.
        width: channels of the first convolution, doubled by each further one; the published ones are 64.
        depth: halvings of the resolution before a last convolution over all that is left; 5 are published.
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
        """Returns (B, C + 1), unbounded, of images (B, 3, H, W) in [-1, 1]."""
        read: Tensor = self.layers(images)
        return read


def normalised(convolution: nn.Module) -> nn.Sequential:
    """Returns the convolution, its outputs standardised over each image and channel, then rectified."""
    return nn.Sequential(convolution, nn.InstanceNorm2d(convolution.out_channels), nn.ReLU())


def doubled(before: int, after: int) -> nn.Sequential:
    """Returns a transposed convolution that doubles the resolution, its outputs standardised, then rectified."""
    return normalised(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False))
