"""The control for purifiers that work at another size than the hasher's.

DiffPure (Nie et al. 2022) and GDMP (Wang et al. 2022) scale queries to their denoiser's size and back. This does only
that, bilinearly and without antialiasing as in their codes, so that the low-pass part of their effect is seen alone.
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
        256 / 224, gt=0, le=8, description="height and width in between, in units of the image's; below 1 shrinks"
    )

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        """Return the images scaled to `factor` times their height and width, rounded to whole pixels, and back."""
        height, width = images.shape[2:]
        between = max(1, round(self.factor * height)), max(1, round(self.factor * width))
        scaled = images
        for size in (between, (height, width)):
            scaled = interpolate(scaled, size, mode="bilinear", align_corners=False)
        # Only rounding leaves the range, so that clamping must not stop the gradients of white pixels.
        return scaled + (scaled.clamp(0, 1) - scaled).detach()
