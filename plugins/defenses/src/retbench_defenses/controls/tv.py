"""Total variation minimization.

Sources: Rudin et al. 1992 (the model), Chambolle 2004 (its dual), Chambolle and Pock 2011, A first-order primal-dual
algorithm for convex problems with applications to imaging (the solver); Guo et al. 2018, Countering adversarial images
using input transformations (ignoring random values, half of them). Guo et al. minimize another energy, an unsquared
error plus the norms of whole rows of differences, so their weight of 0.03 is not comparable with this one. The gradient
is that of the identity: backward pass differentiable approximation (BPDA), Athalye et al. 2018.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import pad

from retbench import Noise, Purifier


class TV(Purifier):
    """Minimizes 1/2 sum over kept values (u - x)^2 + weight * TV(u); the gradient is that of the identity (BPDA).

    TV(u) is the sum over pixels and channels of the length of (u[y+1, x] - u[y, x], u[y, x+1] - u[y, x]): isotropic,
    for each channel separately, with zero differences beyond the edge.
    """

    name: ClassVar[str] = "tv"
    source: ClassVar[str] = "Rudin et al. 1992; Chambolle 2004; Chambolle and Pock 2011, algorithms 1 and 2"

    weight: float = Field(0.1, gt=0, le=10, description="weight of the total variation; images are in [0, 1]")
    iterations: int = Field(100, ge=1, le=10_000, description="steps of the primal-dual solver")
    drop: float = Field(0.0, ge=0, le=0.99, description="probability that a value is ignored; Guo et al. ignore half")

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        values = images.detach()
        keep = torch.ones_like(values)
        if self.drop:
            keep = (noise.uniform("tv", tuple(images.shape[1:])) >= self.drop).float()
        # The bracket is exactly zero; the exact minimizer is in [0, 1], the solver's approximation may exceed it.
        return self._minimize(values, keep).clamp(0, 1) + (images - images.detach())

    def _minimize(self, values: Tensor, keep: Tensor) -> Tensor:
        """Return the minimizer (B, 3, H, W), by algorithm 2 (accelerated) if every value is kept, else algorithm 1.

        Ignored values start at the mean of the kept ones, so that the result does not depend on them.
        """
        mean = (values * keep).sum((2, 3), keepdim=True) / keep.sum((2, 3), keepdim=True).clamp(min=1)
        image = extrapolated = torch.where(keep > 0, values, mean)
        dual = torch.zeros_like(_gradient(image))
        convexity = 0.0 if self.drop else 1.0
        primal_step = dual_step = 1 / math.sqrt(8)  # 8 bounds the squared norm of the gradient operator
        for _ in range(self.iterations):
            dual = _clip_lengths(dual + dual_step * _gradient(extrapolated), self.weight)
            updated = image + primal_step * _divergence(dual)
            updated = (updated + primal_step * keep * values) / (1 + primal_step * keep)
            theta = 1 / math.sqrt(1 + 2 * convexity * primal_step)
            primal_step, dual_step = primal_step * theta, dual_step / theta
            extrapolated = updated + theta * (updated - image)
            image = updated
        return image


def _gradient(image: Tensor) -> Tensor:
    """Return forward differences down and to the right, (2, B, 3, H, W), zero at the last row and column."""
    return torch.stack([pad(image.diff(dim=2), (0, 0, 0, 1)), pad(image.diff(dim=3), (0, 1))])


def _divergence(field: Tensor) -> Tensor:
    """Return minus the adjoint of `_gradient`, (B, 3, H, W), for a field that is zero where gradients are."""
    down, right = field
    return pad(down, (0, 0, 1, 0)).diff(dim=2) + pad(right, (1, 0)).diff(dim=3)


def _clip_lengths(field: Tensor, maximum: float) -> Tensor:
    """Return the field with vectors longer than `maximum` shortened to it."""
    return field / (field.square().sum(0).sqrt() / maximum).clamp(min=1)
