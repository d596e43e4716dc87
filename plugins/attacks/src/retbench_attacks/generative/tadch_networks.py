"""The networks of TA-DCH that draw: semantic translator and generator, as its code has them.

The discriminator is that of ProS-GAN. The equation of RetPur adds the translated semantics to the image; the code lays
them between the image's channels and draws the whole image anew.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from retbench_attacks.generative.prosgan_networks import Residual, doubled, normalised
from retbench_attacks.prototypes.tadch_fusion import MAP

ENLARGEMENTS = ((1, 1), (2, 1), (2, 2), (4, 2), (4, 4))

# 14 itself is missing: the generator halves twice.
SIDES = {
    start * one * two: (start, one, two)
    for start in (14, 16)
    for one, two in ENLARGEMENTS
    if start * one * two % 4 == 0
}
"""Heights and widths that the networks can draw, each with the translator's first resolution and two enlargements."""


class Translator(nn.Module):
    """Draws a map of semantics as one channel of an image's size, by three transposed convolutions.

    The first leaves the 16 x 16 of the map or makes them 14 x 14, the other two enlarge that by 1, 2 or 4 each. The
    published one is for 224 pixels, 14 times 4 times 4; its width is 64.

    Args:
        width: channels of the map, a multiple of 16.
        side: height and width of the images, one of `SIDES`.
    """

    KERNELS: ClassVar[dict[int, int]] = {1: 3, 2: 4, 4: 6}
    """Size of the kernel that enlarges by a factor, with a padding of 1."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        start, *factors = SIDES[side]
        widths = (3 * width // 4, 3 * width // 16, 1)
        first = nn.ConvTranspose2d(width, widths[0], 3, padding=1 + (MAP - start) // 2, bias=False)
        second, third = (
            nn.ConvTranspose2d(before, after, self.KERNELS[factor], factor, padding=1, bias=False)
            for before, after, factor in zip(widths, widths[1:], factors, strict=False)
        )
        self.layers = nn.Sequential(normalised(first), normalised(second), normalised(third))

    def forward(self, semantics: Tensor) -> Tensor:
        """Returns (B, 1, side, side), not below 0, of maps (B, width, 16, 16)."""
        drawn: Tensor = self.layers(semantics)
        return drawn


class Generator(nn.Module):
    """Redraws an image so that it answers like a target: from the image and the target's map of semantics.

    Args:
        semantic: channels of the map of semantics.
        side: height and width of the images, one of `SIDES`.
        width: channels of the first convolution, quadrupled inside; the published ones are 64.
        blocks: residual blocks; 6 are published.
    """

    def __init__(self, semantic: int, side: int, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.translator = Translator(semantic, side)
        self.entry = normalised(nn.Conv2d(6, width, 7, padding=3))
        self.halving = normalised(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1))
        self.core = nn.Sequential(
            normalised(nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1)),
            *[Residual(4 * width) for _ in range(blocks)],
            doubled(4 * width, 2 * width),
        )
        self.doubling = nn.Sequential(_smoothed(4 * width, 2 * width), doubled(2 * width, width))
        self.exit = nn.Sequential(_smoothed(2 * width, width), _smoothed(width, 3))
        self.last = nn.Conv2d(6, 3, 3, padding=1, bias=False)

    def forward(self, images: Tensor, semantics: Tensor) -> Tensor:
        """Returns images (B, 3, H, W) in (-1, 1) for images in [-1, 1] and maps (B, semantic, 16, 16)."""
        full = self.entry(interleaved(images, self.translator(semantics)))
        half = self.halving(full)
        features = self.doubling(torch.cat([half, self.core(half)], dim=1))
        drawn = self.exit(torch.cat([full, features], dim=1))
        return torch.tanh(self.last(torch.cat([images, drawn], dim=1)))


def interleaved(images: Tensor, channel: Tensor) -> Tensor:
    """Returns (B, 6, H, W): red, `channel`, green, `channel`, blue, `channel`, of (B, 3, H, W) and (B, 1, H, W)."""
    return torch.stack([images, channel.to(images).expand_as(images)], dim=2).flatten(1, 2)


def _smoothed(before: int, after: int) -> nn.Sequential:
    return normalised(nn.Conv2d(before, after, 3, padding=1, bias=False))
