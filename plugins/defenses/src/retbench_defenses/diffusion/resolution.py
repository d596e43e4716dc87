"""Purification of images whose size is not the denoiser's.

Sources: Nie et al. 2022 and Wang et al. 2022 scale images to the network's size and back (`resize`). The other policies
are common ways to run a convolutional network at another size: `native` applies it to the image as it is, `tiles` to
overlapping tiles whose predictions are blended, and `residual` adds the change made at the network's size to the image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from retbench_defenses.denoisers.denoiser import DenoiserMetadata, Prediction, Predictor

ResolutionPolicy = Literal["resize", "native", "tiles", "residual"]
Size = tuple[int, int]
"""Height and width in pixels."""


def explain_size_mismatch(policy: ResolutionPolicy, metadata: DenoiserMetadata, size: Size) -> str | None:
    """Return the reason why the policy cannot purify images of this size with this denoiser, or None if it can."""
    tile_size = metadata.size
    if policy == "tiles" and tile_size and (size[0] < tile_size[0] or size[1] < tile_size[1]):
        return (
            f"images are smaller than a tile: got {_format_size(size)}, expected at least {_format_size(tile_size)}; "
            "use another `resolution`"
        )
    input_size = network_size(policy, metadata, size)
    if any(side % metadata.size_multiple for side in input_size):
        return (
            f"image size does not fit the U-Net: got {_format_size(input_size)}, "
            f"expected multiples of {metadata.size_multiple}"
        )
    return None


def network_size(policy: ResolutionPolicy, metadata: DenoiserMetadata, size: Size) -> Size:
    """Return the size of the U-Net's input; a network of unknown training size takes images as they are."""
    return metadata.size if metadata.size and policy != "native" else size


def purify_at_network_size(
    policy: ResolutionPolicy, size: Size, purify: Callable[[Tensor], Tensor], images: Tensor
) -> Tensor:
    """Return the purified images, scaled to `size` before and back after purification if the policy scales.

    Scaling is bilinear without antialiasing, corners not aligned, as in the published codes.

    Args:
        policy: `native` and `tiles` do not scale.
        size: size of the network's input; images that already have it are not scaled.
        purify: function of images (B, 3, H, W) of that size, or of the original size where nothing is scaled.
        images: float32 (B, 3, H, W). B = 0 gives B = 0.
    """
    original_size = (images.shape[-2], images.shape[-1])
    if policy in ("native", "tiles") or original_size == size:
        return purify(images)
    scaled = _scale(images, size)
    purified = purify(scaled)
    if policy == "residual":
        return images + _scale(purified - scaled, original_size)
    return _scale(purified, original_size)


def predict_tiles(predictor: Predictor, tile_size: Size, x: Tensor, level: int) -> Prediction:
    """Return the predictions for tiles of the network's size, half a tile apart, blended with Hann weights.

    The last tile of a row or column ends with the image, however much it overlaps the one before.
    """
    height, width = tile_size
    corners = [(top, left) for top in _tile_starts(x.shape[2], height) for left in _tile_starts(x.shape[3], width)]
    tiles = torch.stack([x[:, :, top : top + height, left : left + width] for top, left in corners], dim=1)
    prediction: Prediction = predictor(tiles.flatten(0, 1), level)
    window = _hann_window(height, x)[:, None] * _hann_window(width, x)
    variance_output = prediction.variance_output
    return Prediction(
        _blend_tiles(prediction.eps, corners, window, x),
        None if variance_output is None else _blend_tiles(variance_output, corners, window, x),
    )


def count_tiles(policy: ResolutionPolicy, tile_size: Size, size: Size) -> int:
    """Return the number of tiles of an image of this size; 1 for the policies without tiles."""
    if policy != "tiles":
        return 1
    return len(_tile_starts(size[0], tile_size[0])) * len(_tile_starts(size[1], tile_size[1]))


def _scale(images: Tensor, size: Size) -> Tensor:
    if not len(images):
        return images.new_zeros(0, images.shape[1], *size)
    return interpolate(images, size, mode="bilinear", align_corners=False)


def _blend_tiles(tiles: Tensor, corners: list[Size], window: Tensor, like: Tensor) -> Tensor:
    """Return the weighted mean (B, 3, H, W) of tiles (B * count, 3, h, w) at their corners, with weights (h, w)."""
    total, weight = torch.zeros_like(like), like.new_zeros(like.shape[2:])
    tiles_by_image = tiles.reshape(len(like), len(corners), *tiles.shape[1:])
    for index, (top, left) in enumerate(corners):
        covered = (slice(top, top + window.shape[0]), slice(left, left + window.shape[1]))
        total[:, :, *covered] += window * tiles_by_image[:, index]
        weight[covered] += window
    return total / weight


def _tile_starts(side: int, tile_side: int) -> list[int]:
    """Return the first pixel of each tile along a side."""
    return list(dict.fromkeys([*range(0, side - tile_side, tile_side // 2), side - tile_side]))


def _hann_window(length: int, like: Tensor) -> Tensor:
    """Return a Hann window (length,) without its zero ends, because pixels at the image's edge need a weight too."""
    return torch.hann_window(length + 2, periodic=False, device=like.device, dtype=like.dtype)[1:-1]


def _format_size(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
