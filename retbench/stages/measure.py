"""Measure the distances between changed and clean images."""

from __future__ import annotations

import torch
from torch import Tensor

from retbench.metrics import perceptual


def measure_images(images: Tensor, clean: Tensor) -> dict[str, Tensor]:
    """Return `linf`, `l2`, `mse` and `ssim` between images and their clean queries, each float64 (B,)."""
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        measures = {name: getattr(perceptual, name)(images, clean) for name in ("linf", "l2", "mse", "ssim")}
    return {name: values.cpu() for name, values in measures.items()}


def concatenate_batches(batches: list[dict[str, Tensor]], shape: tuple[int, ...]) -> dict[str, Tensor]:
    """Return the concatenated tensors of several batches; without a batch, `images` of size (0, *shape)."""
    if not batches:
        return {"images": torch.zeros(0, *shape)}
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
