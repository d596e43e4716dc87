"""The distance between two images that guidance descends, and its gradient."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

Metric = Literal["ssim", "mse"]
WINDOW = 11
"""Side of the Gaussian window of SSIM in pixels."""


class ImageDistance(NamedTuple):
    """The distance D of an image to its reference.

    Attributes:
        metric: mean squared error, or minus the mean structural similarity (Wang et al. 2004, Gaussian window of 11),
            so that a step against the gradient always moves towards the reference.
        data_range: range of values that SSIM's constants assume: 2 for images in [-1, 1]; 1 in Wang et al. 2022.
        padding: `valid` uses whole windows only; `zero` pads both images with zeros, as Wang et al. 2022 do.
    """

    metric: Metric = "ssim"
    data_range: float = 2.0
    padding: Literal["valid", "zero"] = "valid"

    @property
    def min_side(self) -> int:
        """The smallest height and width in pixels that the distance supports."""
        return WINDOW if self.metric == "ssim" and self.padding == "valid" else 1

    def measure(self, images: Tensor, reference: Tensor) -> Tensor:
        """Return the distance of each image to `reference`: (B,) from two tensors (B, 3, H, W)."""
        if self.metric == "mse":
            return (images - reference).square().mean(dim=(1, 2, 3))
        from pytorch_msssim import ssim

        if self.padding == "zero":
            images, reference = (pad(x, [WINDOW // 2] * 4) for x in (images, reference))
        similarity: Tensor = ssim(images, reference, data_range=self.data_range, size_average=False, win_size=WINDOW)
        return -similarity

    def gradient(self, images: Tensor, reference: Tensor) -> Tensor:
        """Return the gradient of each image's distance with respect to the image: float32 (B, 3, H, W).

        No image depends on the others of its batch. Where autograd is on, the gradient can itself be differentiated
        with respect to both arguments, which an adaptive attack needs: the query enters every step as the reference.

        Args:
            images: float32 (B, 3, H, W), around [-1, 1], with sides of at least `min_side`. B = 0 gives B = 0.
            reference: same shape and range.
        """
        tracked = torch.is_grad_enabled() and (images.requires_grad or reference.requires_grad)
        with torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
            if not tracked:
                images, reference = images.detach(), reference.detach()
            variable = images if images.requires_grad else images.detach().requires_grad_()
            distances = self.measure(variable, reference)
            (gradient,) = torch.autograd.grad(distances.sum(), variable, create_graph=tracked)
        return gradient
