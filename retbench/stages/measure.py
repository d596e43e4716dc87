"""How far images were moved, one number an image."""

from __future__ import annotations

import torch
from torch import Tensor

from retbench.metrics import perceptual


def measured(images: Tensor, clean: Tensor) -> dict[str, Tensor]:
    """Return float64 (B,) of `linf`, `l2`, `mse` and `ssim` between images and their clean queries."""
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        measures = {name: getattr(perceptual, name)(images, clean) for name in ("linf", "l2", "mse", "ssim")}
    return {name: values.cpu() for name, values in measures.items()}


def concatenated(batches: list[dict[str, Tensor]], like: tuple[int, ...]) -> dict[str, Tensor]:
    """Return the tensors of several batches end to end; without a batch, `images` of no rows and shape `like`."""
    if not batches:
        return {"images": torch.zeros(0, *like)}
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
