"""Descent on an objective inside an l-infinity ball: what the iterative attacks share."""

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
"""From relaxed codes (B, K), and the images (B, 3, H, W) that gave them, to what is minimized for each image (B,)."""


class BallDescent(PixelAttack):
    """Moves each query x, inside the ball, so that an objective of the relaxed code tanh(alpha z(x')) becomes small.

    After each step, x' - x is cut to [-eps, eps] and x' to [0, 1]. An image's path does not depend on the batch that it
    is in. A subclass defines the objective, and how gradients become steps.
    """

    eps: float = Field(8 / 255, gt=0, le=1, description="radius of the l-infinity ball, pixels in [0, 1]")
    steps: int = Field(2000, ge=1, le=100_000, description="gradient steps")
    alpha: Annealing = Field(
        "absolute", description="slope of tanh: constant, by the step's number, or by the share of steps done"
    )
    alpha_value: float = Field(1.0, gt=0, le=100, description="slope of tanh while alpha is constant")
    random_start: bool = Field(False, description="start at a uniform point of the ball instead of the query")

    @property
    def ball(self) -> Ball:
        return Ball("linf", self.eps)

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        objective, update = self.objective(knowledge, batch, module, noise), self.new_update()
        lowest, highest = (batch.images - self.eps).clamp_(min=0), (batch.images + self.eps).clamp_(max=1)
        images = self._start(batch.images, noise).clamp(lowest, highest)
        for step in range(self.steps):
            alpha = compute_alpha(self.alpha, step, self.steps, self.alpha_value)
            images = images.sub_(update(_gradient(knowledge.network, images, objective, alpha))).clamp_(lowest, highest)
        return images

    @abstractmethod
    def objective(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Objective:
        """Return the objective of the images of this batch."""

    @abstractmethod
    def new_update(self) -> Update:
        """Return the rule from gradients to steps, without a memory of other batches."""

    def _start(self, images: Tensor, noise: Noise) -> Tensor:
        if not self.random_start:
            return images
        return images + self.eps * (2 * noise.uniform("start", tuple(images.shape[1:])) - 1)


def _gradient(network: HashNetwork, images: Tensor, objective: Objective, alpha: float) -> Tensor:
    """Return each image's own gradient (B, 3, H, W): the sum over the batch keeps the images apart."""
    pixels = images.detach().requires_grad_()
    total = objective(relax(network.image(pixels), alpha), pixels).sum()
    return torch.autograd.grad(total, pixels)[0]
