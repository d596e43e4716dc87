"""A random size and a random place.

Source: Xie et al. 2018, Mitigating adversarial effects through randomization. They enlarge images of 299 pixels to
sides of 310 to 330 and pad to 331. Hashers have one input size, so here images shrink and are padded back. Their code
scales by the nearest neighbor, draws one size for a whole batch, mirrors at random, and pads with the zero of images
in [-1, 1], which is `fill: 0.5` here.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench import Noise, Purifier


class RandomResizePad(Purifier):
    """Shrinks each query to a random size and pads it, at a random place, back to its own.

    The height is uniform over the integers from round(low * H) to H - 1, or H - 1 where that range is empty. The width
    keeps the aspect. Offsets are uniform over the places that fit. A side of one pixel stays.
    """

    name: ClassVar[str] = "random-resize-pad"
    source: ClassVar[str] = "Xie et al. 2018, section 3"

    low: float = Field(200 / 224, gt=0, lt=1, description="smallest height, in units of the image's")
    interpolation: Literal["nearest", "bilinear"] = Field(
        "nearest",
        description="value between pixels: the nearest, as in the authors' code; or bilinear, no antialiasing",
    )
    fill: float = Field(0.0, ge=0, le=1, description="value around the image, 0 black and 1 white")

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        height, width = images.shape[2:]
        size, top, left = noise.uniform("random-resize-pad", (3,)).unbind(1)
        lowest = max(1, min(round(self.low * height), height - 1))
        heights = lowest + (size * max(1, height - lowest)).long()
        widths = (heights * width / height).round().long().clamp(min=1)
        rows, inside_rows = self._sources(height, heights, top)
        columns, inside_columns = self._sources(width, widths, left)
        shrunk = _sample(_sample(images, rows[:, None, :, None], 2), columns[:, None, None, :], 3)
        inside = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
        return torch.where(inside, shrunk, self.fill)

    def _sources(self, side: int, sizes: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each pixel along a side shows: its position in the image (B, side), and whether it shows any.

        Args:
            sizes: int64 (B,), length of the shrunk image.
            place: float32 (B,) in [0, 1), where it lies among the places that fit.
        """
        starts = (place * (side - sizes + 1)).long()
        offsets = torch.arange(side, device=sizes.device) - starts[:, None]
        inside = (offsets >= 0) & (offsets < sizes[:, None])
        if self.interpolation == "nearest":
            positions = (offsets * side // sizes[:, None]).float()
        else:
            positions = (offsets + 0.5) * (side / sizes[:, None]) - 0.5
        return positions.clamp(0, side - 1), inside


def _sample(images: Tensor, positions: Tensor, axis: int) -> Tensor:
    """Return `images` (B, 3, H, W) read along one axis at `positions`, linearly between two pixels."""
    below = positions.long()
    above = (below + 1).clamp(max=images.shape[axis] - 1)
    return torch.lerp(_pick(images, below, axis), _pick(images, above, axis), positions - below)


def _pick(images: Tensor, pixels: Tensor, axis: int) -> Tensor:
    shape = list(images.shape)
    shape[axis] = pixels.shape[axis]
    return images.gather(axis, pixels.expand(shape))
