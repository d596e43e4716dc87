"""Random resizing and random padding.

Source: Xie et al. 2018, Mitigating adversarial effects through randomization. They enlarge images of 299 pixels to
sides of 310 to 330 and pad to 331. Hashers have one input size, so here images shrink and are padded back to their
size. Their code interpolates by the nearest neighbor, draws one size for a whole batch, mirrors at random, and pads
with the zero of images in [-1, 1], which is `fill: 0.5` here.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench import Noise, Purifier


class RandomResizePad(Purifier):
    """Shrinks each query to a random size and pads it, at a random offset, to its original size.

    The height is uniform over the integers from round(low * H) to H - 1, or H - 1 where that range is empty. The width
    keeps the aspect ratio. Offsets are uniform over those that fit. A side of one pixel does not shrink.
    """

    name: ClassVar[str] = "random-resize-pad"
    source: ClassVar[str] = "Xie et al. 2018, section 3"

    low: float = Field(200 / 224, gt=0, lt=1, description="smallest height as a share of the image's height")
    interpolation: Literal["nearest", "bilinear"] = Field(
        "nearest", description="nearest: nearest neighbor, as in the authors' code; bilinear: without antialiasing"
    )
    fill: float = Field(0.0, ge=0, le=1, description="value of the padding: 0 black, 1 white")

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        height, width = images.shape[2:]
        size_draw, top_draw, left_draw = noise.uniform("random-resize-pad", (3,)).unbind(1)
        lowest = max(1, min(round(self.low * height), height - 1))
        heights = lowest + (size_draw * max(1, height - lowest)).long()
        widths = (heights * width / height).round().long().clamp(min=1)
        rows, rows_inside = self._source_positions(height, heights, top_draw)
        columns, columns_inside = self._source_positions(width, widths, left_draw)
        shrunk = _sample(_sample(images, rows[:, None, :, None], 2), columns[:, None, None, :], 3)
        inside = rows_inside[:, None, :, None] & columns_inside[:, None, None, :]
        return torch.where(inside, shrunk, self.fill)

    def _source_positions(self, side: int, sizes: Tensor, offset_draw: Tensor) -> tuple[Tensor, Tensor]:
        """Return, for each output pixel along a side, its position in the image and whether it shows the image.

        Args:
            side: length of the side in pixels.
            sizes: length of the side in the shrunk images, int64 (B,).
            offset_draw: uniform numbers in [0, 1), float32 (B,), that select the offset among those that fit.

        Returns:
            Positions, float32 (B, side), and bool (B, side).
        """
        starts = (offset_draw * (side - sizes + 1)).long()
        offsets = torch.arange(side, device=sizes.device) - starts[:, None]
        inside = (offsets >= 0) & (offsets < sizes[:, None])
        if self.interpolation == "nearest":
            positions = (offsets * side // sizes[:, None]).float()
        else:
            positions = (offsets + 0.5) * (side / sizes[:, None]) - 0.5
        return positions.clamp(0, side - 1), inside


def _sample(images: Tensor, positions: Tensor, axis: int) -> Tensor:
    """Return `images` (B, 3, H, W) sampled at `positions` along an axis, interpolated linearly between two pixels."""
    lower = positions.long()
    upper = (lower + 1).clamp(max=images.shape[axis] - 1)
    return torch.lerp(_gather_pixels(images, lower, axis), _gather_pixels(images, upper, axis), positions - lower)


def _gather_pixels(images: Tensor, pixels: Tensor, axis: int) -> Tensor:
    shape = list(images.shape)
    shape[axis] = pixels.shape[axis]
    return images.gather(axis, pixels.expand(shape))
