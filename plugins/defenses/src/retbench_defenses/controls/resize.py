"""The control for purifiers that work at another image size than the hasher.

DiffPure (Nie et al. 2022) and GDMP (Wang et al. 2022) scale queries to their denoiser's size and back. This control
does only that, bilinearly and without antialiasing as in their codes, so it measures the low-pass part of their effect.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from retbench import Noise, Purifier


class Resize(Purifier):
    """Scales queries to another size and back."""

    name: ClassVar[str] = "resize"
    source: ClassVar[str] = "control"

    factor: float = Field(
        256 / 224, gt=0, le=8, description="scale of the intermediate height and width; below 1 shrinks the image"
    )

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        """Return the images scaled to `factor` times their height and width, rounded to whole pixels, and back."""
        height, width = images.shape[2:]
        intermediate = max(1, round(self.factor * height)), max(1, round(self.factor * width))
        scaled = images
        for size in (intermediate, (height, width)):
            scaled = interpolate(scaled, size, mode="bilinear", align_corners=False)
        # Values leave the range by rounding only, so the clamp must not block the gradients of white pixels.
        return scaled + (scaled.clamp(0, 1) - scaled).detach()
