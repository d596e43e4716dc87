"""Median filter.

Source: Xu, Evans and Qi 2018, Feature squeezing, with the conventions of the SciPy filter that they use: a window of
2 x 2 contains the pixel and its neighbors above and to the left; the median of an even count is the upper of the two
middle values; at the edge the image is reflected, edge pixel included.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import pad

from retbench import Noise, Purifier


class Median(Purifier):
    """Replaces every value by the median of a window of its channel; the gradient passes to the selected value."""

    name: ClassVar[str] = "median"
    source: ClassVar[str] = "Xu et al. 2018, section III.B"

    window: int = Field(3, ge=2, le=3, description="side of the square window in pixels")

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        height, width = images.shape[2:]
        after = self.window - 2
        # Reflection by one pixel, edge pixel included, is replication.
        padded = pad(images, (1, after, 1, after), mode="replicate")
        offsets = range(self.window)
        neighbors = [padded[:, :, y : y + height, x : x + width] for y in offsets for x in offsets]
        return torch.stack(neighbors, dim=-1).kthvalue(self.window**2 // 2 + 1, dim=-1).values
