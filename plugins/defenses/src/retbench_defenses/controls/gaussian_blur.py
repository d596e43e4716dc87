"""Gaussian blur, a linear low-pass filter.

Source: the linear special case of the smoothing in Xu, Evans and Qi 2018, Feature squeezing.
"""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import pad

from retbench import Facts, Noise, Purifier


class GaussianBlur(Purifier):
    """Convolves every channel with a sampled Gaussian of radius ceil(3 sigma), mirroring the image at its edges.

    The mirrored image does not repeat the edge pixel, so both sides must exceed the radius.
    """

    name: ClassVar[str] = "gaussian-blur"
    source: ClassVar[str] = "Xu et al. 2018, section III.B (local smoothing), with a Gaussian kernel"

    sigma: float = Field(0.7, gt=0, le=10, description="standard deviation of the kernel in pixels")

    def supports(self, facts: Facts) -> str | None:
        height, width = facts.image_size
        if min(height, width) > self._radius:
            return None
        return (
            f"images too small for the kernel: got {height}x{width}, expected sides above its radius of {self._radius} "
            "pixels; lower `sigma`"
        )

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        blurred = images
        for axis in (2, 3):
            blurred = self._blur_axis(blurred, axis)
        # Values leave the range by rounding only, so the clamp must not block the gradients of white pixels.
        return blurred + (blurred.clamp(0, 1) - blurred).detach()

    def _blur_axis(self, images: Tensor, axis: int) -> Tensor:
        length = images.shape[axis]
        margins = (self._radius, self._radius)
        padded = pad(images, (0, 0, *margins) if axis == 2 else (*margins, 0, 0), mode="reflect")
        weights = [math.exp(-0.5 * (offset / self.sigma) ** 2) for offset in range(-self._radius, self._radius + 1)]
        # Sums of shifted images, because a convolution would be rounded to the autocast's dtype.
        blurred = images.new_zeros(())
        for start, weight in enumerate(weights):
            blurred = blurred + padded.narrow(axis, start, length) * (weight / sum(weights))
        return blurred

    @property
    def _radius(self) -> int:
        return math.ceil(3 * self.sigma)
