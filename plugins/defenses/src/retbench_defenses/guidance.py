"""Which way an image moves away from a reference."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Metric = Literal["ssim", "mse"]
WINDOW = 11


def distance_gradient(metric: Metric, images: Tensor, reference: Tensor) -> Tensor:
    """Returns the gradient of each image's own distance D to its reference, float32 (B, 3, H, W).

    D is the mean squared error, or minus the mean structural similarity (Wang et al. 2004: Gaussian window of 11, data
    range 2, no padding), so that stepping against the gradient always pulls towards the reference. No image sees
    another one. The gradient is a constant to autograd: it is taken at a copy of `images`.

    Args:
        images, reference: float32 (B, 3, H, W), around [-1, 1]; sides of at least 11 for `ssim`. B = 0 gives B = 0.
    """
    with torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
        point = images.detach().requires_grad_()
        distances = _mse(point, reference.detach()) if metric == "mse" else _minus_ssim(point, reference.detach())
        (gradient,) = torch.autograd.grad(distances.sum(), point)
    return gradient


def _mse(images: Tensor, reference: Tensor) -> Tensor:
    return (images - reference).square().mean(dim=(1, 2, 3))


def _minus_ssim(images: Tensor, reference: Tensor) -> Tensor:
    from pytorch_msssim import ssim

    similarity: Tensor = ssim(images, reference, data_range=2.0, size_average=False, win_size=WINDOW)
    return -similarity
