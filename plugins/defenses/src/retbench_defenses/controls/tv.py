"""Total variation minimization.

Sources: Rudin et al. 1992 (the model), Chambolle 2004 (its dual), Chambolle and Pock 2011, A first-order primal-dual
algorithm for convex problems with applications to imaging (the solver); Guo et al. 2018, Countering adversarial images
using input transformations (ignoring random values, half of them). Guo et al. weigh another energy, an unsquared error
plus the norms of whole rows of differences, so their weight of 0.03 is not this one. Gradients pass as if it were the
identity: backward pass differentiable approximation (BPDA), Athalye et al. 2018.
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
    """Minimizes 1/2 sum over kept values (u - x)^2 + weight * TV(u), with the gradient of the identity (BPDA).

    TV(u) is the sum over pixels and channels of the length of (u[y+1, x] - u[y, x], u[y, x+1] - u[y, x]): isotropic,
    each channel alone, differences beyond the edge zero.
    """

    name: ClassVar[str] = "tv"
    source: ClassVar[str] = "Rudin et al. 1992; Chambolle 2004; Chambolle and Pock 2011, algorithms 1 and 2"

    weight: float = Field(0.1, gt=0, le=10, description="weight of the total variation; images are in [0, 1]")
    iterations: int = Field(100, ge=1, le=10_000, description="steps of the primal-dual solver")
    drop: float = Field(0.0, ge=0, le=0.99, description="probability of ignoring a value; Guo et al. ignore half")

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        values = images.detach()
        keep = torch.ones_like(values)
        if self.drop:
            keep = (noise.uniform("tv", tuple(images.shape[1:])) >= self.drop).float()
        # The bracket is exactly zero; the solution itself leaves the range only by what the solver left undone.
        return self._solve(values, keep).clamp(0, 1) + (images - images.detach())

    def _solve(self, values: Tensor, keep: Tensor) -> Tensor:
        """Return the minimizer (B, 3, H, W); where every value is kept, by the accelerated steps of algorithm 2.

        The start shows the kept values and elsewhere their mean: nothing of the values that are ignored.
        """
        mean = (values * keep).sum((2, 3), keepdim=True) / keep.sum((2, 3), keepdim=True).clamp(min=1)
        image = ahead = torch.where(keep > 0, values, mean)
        dual = torch.zeros_like(_gradient(image))
        curvature = 0.0 if self.drop else 1.0
        primal_step = dual_step = 1 / math.sqrt(8)  # 8 bounds the squared norm of the gradient
        for _ in range(self.iterations):
            dual = _inside_disc(dual + dual_step * _gradient(ahead), self.weight)
            moved = image + primal_step * _divergence(dual)
            moved = (moved + primal_step * keep * values) / (1 + primal_step * keep)
            shrink = 1 / math.sqrt(1 + 2 * curvature * primal_step)
            primal_step, dual_step = primal_step * shrink, dual_step / shrink
            ahead = moved + shrink * (moved - image)
            image = moved
        return image


def _gradient(image: Tensor) -> Tensor:
    """Return (2, B, 3, H, W): forward differences down and to the right, zero at the last row and column."""
    return torch.stack([pad(image.diff(dim=2), (0, 0, 0, 1)), pad(image.diff(dim=3), (0, 1))])


def _divergence(field: Tensor) -> Tensor:
    """Return (B, 3, H, W), minus the adjoint of `_gradient`, for a field that is zero where gradients are."""
    down, right = field
    return pad(down, (0, 0, 1, 0)).diff(dim=2) + pad(right, (1, 0)).diff(dim=3)


def _inside_disc(field: Tensor, radius: float) -> Tensor:
    """Return the field with vectors longer than the radius shortened to it."""
    return field / (field.square().sum(0).sqrt() / radius).clamp(min=1)
