"""What a purifier does with images of another size than its denoiser's.

Sources: Nie et al. 2022 and Wang et al. 2022 scale up to their network and back (`resize`). The others are common ways
to run a network off its size: as it is, being convolutional (`native`); on overlapping tiles that are blended
(`tiles`); and adding back what purification changed at the network's size (`residual`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from retbench_defenses.denoisers.denoiser import Outline, Prediction, Predictor

Resolution = Literal["resize", "native", "tiles", "residual"]
Size = tuple[int, int]


def misfit(policy: Resolution, outline: Outline, size: Size) -> str | None:
    """Return why the policy cannot handle images of a size, or None."""
    shown = "x".join(map(str, size))
    if policy == "tiles" and outline.size and any(side < tile for side, tile in zip(size, outline.size, strict=True)):
        return (
            f"images are smaller than a tile: got {shown}, expected sides from {outline.size}; use another resolution"
        )
    inside = network_size(policy, outline, size)
    if any(side % outline.factor for side in inside):
        shown = "x".join(map(str, inside))
        return f"image size does not fit the U-Net: got {shown}, expected multiples of {outline.factor}"
    return None


def network_size(policy: Resolution, outline: Outline, size: Size) -> Size:
    """Return the size of the U-Net's input; a network of unknown size takes images as they are."""
    return outline.size if outline.size and policy != "native" else size


def at_network_size(policy: Resolution, size: Size, purify: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return the images after `purify`, scaled to `size` before and back after it, if the policy asks for that.

    Scaling is bilinear without antialiasing, corners not aligned, as in the published codes. Images of that size
    already, and images that are tiled or taken as they are, are not scaled.

    Args:
        images: float32 (B, 3, H, W). B = 0 gives B = 0.
    """
    own = images.shape[-2:]
    if policy in ("native", "tiles") or tuple(own) == size:
        return purify(images)
    scaled = _scale(images, size)
    purified = purify(scaled)
    if policy == "residual":
        return images + _scale(purified - scaled, (own[0], own[1]))
    return _scale(purified, (own[0], own[1]))


def _scale(images: Tensor, size: Size) -> Tensor:
    if not len(images):
        return images.new_zeros(0, images.shape[1], *size)
    return interpolate(images, size, mode="bilinear", align_corners=False)


def predict_tiles(predictor: Predictor, tile: Size, x: Tensor, level: int) -> Prediction:
    """Return the prediction of tiles of the network's size, half a tile apart, blended by a Hann window.

    The last tile of a row or column ends with the image, however much it overlaps the one before. An image's tiles do
    not mix with another's.
    """
    height, width = tile
    corners = [(top, left) for top in _starts(x.shape[2], height) for left in _starts(x.shape[3], width)]
    patches = torch.stack([x[:, :, top : top + height, left : left + width] for top, left in corners], dim=1)
    prediction: Prediction = predictor(patches.flatten(0, 1), level)
    window = _hann(height, x)[:, None] * _hann(width, x)
    blended = [_blend(part, corners, window, x) if part is not None else None for part in prediction]
    return Prediction(blended[0], blended[1])  # type: ignore[arg-type]  # the noise is never None


def tile_count(policy: Resolution, tile: Size, size: Size) -> int:
    """Return how many tiles an image of a size is cut into; 1 if it is not tiled."""
    if policy != "tiles":
        return 1
    return len(_starts(size[0], tile[0])) * len(_starts(size[1], tile[1]))


def _blend(patches: Tensor, corners: list[Size], window: Tensor, like: Tensor) -> Tensor:
    """Return (B, 3, H, W): the window's mean of `patches` (B * tiles, 3, h, w) at their corners."""
    total, weight = torch.zeros_like(like), like.new_zeros(like.shape[2:])
    by_image = patches.unflatten(0, (len(like), len(corners)))
    for index, (top, left) in enumerate(corners):
        inside = (slice(top, top + window.shape[0]), slice(left, left + window.shape[1]))
        total[:, :, *inside] += window * by_image[:, index]
        weight[inside] += window
    return total / weight


def _starts(side: int, tile: int) -> list[int]:
    """Return where tiles begin along a side."""
    return list(dict.fromkeys([*range(0, side - tile, tile // 2), side - tile]))


def _hann(length: int, like: Tensor) -> Tensor:
    """Return a Hann window without its zero ends, so that the rim of an image has a weight too."""
    return torch.hann_window(length + 2, periodic=False, device=like.device, dtype=like.dtype)[1:-1]
