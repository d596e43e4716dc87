"""The distance of an image to its reference, and its gradient."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

Metric = Literal["ssim", "mse"]
WINDOW = 11


class Distance(NamedTuple):
    """The distance D of an image to its reference.

    Attributes:
        metric: mean squared error, or minus the mean structural similarity (Wang et al. 2004, Gaussian window of 11),
            so that a step against the gradient always pulls towards the reference.
        data_range: width of the range that the similarity's constants assume: 2 for images in [-1, 1]; 1 in Wang et al.
            2022.
        padding: `valid` takes whole windows alone; `zero` surrounds both images with zeros, as Wang et al. 2022 do.
    """

    metric: Metric = "ssim"
    data_range: float = 2.0
    padding: Literal["valid", "zero"] = "valid"

    @property
    def least_side(self) -> int:
        """The smallest side of an image that it can compare, in pixels."""
        return WINDOW if self.metric == "ssim" and self.padding == "valid" else 1

    def of(self, images: Tensor, reference: Tensor) -> Tensor:
        """Return each image's own distance, float32 (B,), to `reference` of the same shape (B, 3, H, W)."""
        if self.metric == "mse":
            return (images - reference).square().mean(dim=(1, 2, 3))
        from pytorch_msssim import ssim

        if self.padding == "zero":
            images, reference = (pad(x, [WINDOW // 2] * 4) for x in (images, reference))
        similarity: Tensor = ssim(images, reference, data_range=self.data_range, size_average=False, win_size=WINDOW)
        return -similarity

    def gradient(self, images: Tensor, reference: Tensor) -> Tensor:
        """Return the gradient of each image's distance by the image, float32 (B, 3, H, W); no image depends on another.

        Where autograd is on, the gradient may itself be differentiated by both arguments, which an adaptive attack
        on a guided purifier needs: the query enters every step as the reference.

        Args:
            images, reference: float32 (B, 3, H, W), around [-1, 1]; sides of at least `least_side`. B = 0 gives B = 0.
        """
        tracked = torch.is_grad_enabled() and (images.requires_grad or reference.requires_grad)
        with torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
            if not tracked:
                images, reference = images.detach(), reference.detach()
            point = images if images.requires_grad else images.detach().requires_grad_()
            distances = self.of(point, reference)
            (gradient,) = torch.autograd.grad(distances.sum(), point, create_graph=tracked)
        return gradient
