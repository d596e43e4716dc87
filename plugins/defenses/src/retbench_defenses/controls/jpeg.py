"""Compression by JPEG.

Source: Guo et al. 2018, Countering adversarial images using input transformations (quality 75). Gradients pass as if it
were the identity: backward pass differentiable approximation (BPDA), Athalye et al. 2018.
"""

from __future__ import annotations

from io import BytesIO
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from retbench import Noise, Purifier


class Jpeg(Purifier):
    """Writes each query as a JPEG file and reads it back, with the gradient of the identity (BPDA)."""

    name: ClassVar[str] = "jpeg"
    source: ClassVar[str] = "Guo et al. 2018; gradient: Athalye et al. 2018, section 4.1"

    quality: int = Field(75, ge=1, le=100, description="libjpeg's quality, 100 the finest")
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = Field(
        "4:2:0", description="resolution of the color channels: full, half the width, or half the width and height"
    )

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        """Return the decoded images: multiples of 1/255. The input is rounded to 8 bits first."""
        pixels = (images.detach() * 255).round().to("cpu", torch.uint8).permute(0, 2, 3, 1).numpy()
        decoded = images.detach().clone()
        for row, picture in enumerate(pixels):
            decoded[row] = torch.from_numpy(self._recode(picture)).permute(2, 0, 1) / 255
        # The bracket is exactly zero, so that the decoded values stay exact.
        return decoded + (images - images.detach())

    def _recode(self, picture: np.ndarray) -> np.ndarray:
        """Return uint8 (H, W, 3), what is left of `picture` (same shape and dtype)."""
        from PIL import Image

        file = BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=self.quality, subsampling=self.subsampling)
        return np.array(Image.open(file))
