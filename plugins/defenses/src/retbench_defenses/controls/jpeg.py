"""JPEG compression.

Source: Guo et al. 2018, Countering adversarial images using input transformations (quality 75). The gradient is that of
the identity: backward pass differentiable approximation (BPDA), Athalye et al. 2018.
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
    """Compresses each query as JPEG and decodes it; the gradient is that of the identity (BPDA)."""

    name: ClassVar[str] = "jpeg"
    source: ClassVar[str] = "Guo et al. 2018; gradient: Athalye et al. 2018, section 4.1"

    quality: int = Field(75, ge=1, le=100, description="libjpeg's quality; 100 is the highest")
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = Field(
        "4:2:0",
        description="resolution of the color channels. 4:4:4: full; 4:2:2: half the width; 4:2:0: half the width and "
        "height",
    )

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        """Return the decoded images, whose values are multiples of 1/255; the input is first rounded to 8 bits."""
        pixels = (images.detach() * 255).round().to("cpu", torch.uint8).permute(0, 2, 3, 1).numpy()
        decoded = images.detach().clone()
        for row, image in enumerate(pixels):
            decoded[row] = torch.from_numpy(self._encode_and_decode(image)).permute(2, 0, 1) / 255
        # The bracket is exactly zero, so the decoded values stay exact.
        return decoded + (images - images.detach())

    def _encode_and_decode(self, image: np.ndarray) -> np.ndarray:
        """Return an image, uint8 (H, W, 3), after JPEG compression."""
        from PIL import Image

        file = BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=self.quality, subsampling=self.subsampling)
        return np.array(Image.open(file))
