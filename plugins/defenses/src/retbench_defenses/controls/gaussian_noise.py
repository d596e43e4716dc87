"""Gaussian noise on the query.

Source: Cohen et al. 2019, Certified adversarial robustness via randomized smoothing. Averaged over many copies, this is
randomized smoothing without a certificate.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from retbench import Noise, Purifier


class GaussianNoise(Purifier):
    """Adds independent normal noise to every value and clamps to [0, 1]; Cohen et al. do not clamp."""

    name: ClassVar[str] = "gaussian-noise"
    source: ClassVar[str] = "Cohen et al. 2019, equation 1"

    std: float = Field(8 / 255, gt=0, le=1, description="standard deviation of the noise, pixels in [0, 1]")

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return (images + self.std * noise.normal("gaussian-noise", tuple(images.shape[1:]))).clamp(0, 1)
