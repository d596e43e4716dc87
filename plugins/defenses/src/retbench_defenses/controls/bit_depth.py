"""Reduction of the bits of each color channel.

Sources: Xu, Evans and Qi 2018, Feature squeezing (4 or 5 bits); Guo et al. 2018, Countering adversarial images using
input transformations (3 bits). The gradient is that of the identity: backward pass differentiable approximation (BPDA),
Athalye et al. 2018.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from retbench import Noise, Purifier


class BitDepth(Purifier):
    """Rounds every value to the nearest of 2^bits evenly spaced levels; the gradient is that of the identity (BPDA)."""

    name: ClassVar[str] = "bit-depth"
    source: ClassVar[str] = "Xu et al. 2018, section III.A; Guo et al. 2018; gradient: Athalye et al. 2018, section 4.1"

    bits: int = Field(3, ge=1, le=8, description="bits of each color channel")

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        """Return round(x (2^bits - 1)) / (2^bits - 1); halves are rounded to the even level."""
        highest_level = (1 << self.bits) - 1
        rounded = (images.detach() * highest_level).round() / highest_level
        # The bracket is exactly zero, so the values stay exact levels.
        return rounded + (images - images.detach())
