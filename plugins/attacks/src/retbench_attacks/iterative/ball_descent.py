"""Base class of the iterative attacks: gradient descent inside an l-infinity ball."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench import Ball, Batch, HashNetwork, Knowledge, Noise, relax
from retbench_attacks.iterative.annealing import Annealing, compute_alpha
from retbench_attacks.iterative.updates import Update
from retbench_attacks.pixel_attack import PixelAttack

Objective = Callable[[Tensor, Tensor], Tensor]
"""Maps relaxed codes (B, K) and their images (B, 3, H, W) to the value to minimize per image (B,)."""


class BallDescent(PixelAttack):
    """Minimizes, for each query x, an objective of the relaxed code tanh(alpha z(x')) inside the ball around x.

    After each step, x' - x is clipped to [-eps, eps] and x' to [0, 1]. The result for an image does not depend on its
    batch. A subclass defines the objective and the update rule.
    """

    eps: float = Field(8 / 255, gt=0, le=1, description="radius of the l-infinity ball, pixels in [0, 1]")
    steps: int = Field(2000, ge=1, le=100_000, description="gradient steps")
    alpha: Annealing = Field(
        "absolute",
        description="schedule of tanh's slope: constant, by step number (absolute), or by fraction of steps (relative)",
    )
    alpha_value: float = Field(1.0, gt=0, le=100, description="slope of tanh if alpha is constant")
    random_start: bool = Field(False, description="start at a uniformly drawn point of the ball instead of the query")

    @property
    def ball(self) -> Ball:
        return Ball("linf", self.eps)

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        objective, update = self.objective(knowledge, batch, module, noise), self.new_update()
        lower, upper = (batch.images - self.eps).clamp_(min=0), (batch.images + self.eps).clamp_(max=1)
        images = self._starting_point(batch.images, noise).clamp(lower, upper)
        for step in range(self.steps):
            alpha = compute_alpha(self.alpha, step, self.steps, self.alpha_value)
            images = images.sub_(update(_compute_gradient(knowledge.network, images, objective, alpha))).clamp_(
                lower, upper
            )
        return images

    @abstractmethod
    def objective(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Objective:
        """Return the objective for this batch."""

    @abstractmethod
    def new_update(self) -> Update:
        """Return a new update rule; it is called once per batch, so no state is shared between batches."""

    def _starting_point(self, images: Tensor, noise: Noise) -> Tensor:
        if not self.random_start:
            return images
        return images + self.eps * (2 * noise.uniform("start", tuple(images.shape[1:])) - 1)


def _compute_gradient(network: HashNetwork, images: Tensor, objective: Objective, alpha: float) -> Tensor:
    """Return the gradient (B, 3, H, W) of each image's objective, independent of the other images."""
    pixels = images.detach().requires_grad_()
    total = objective(relax(network.image(pixels), alpha), pixels).sum()
    return torch.autograd.grad(total, pixels)[0]
