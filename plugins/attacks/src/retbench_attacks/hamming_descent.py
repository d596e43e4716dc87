"""Descent on the Hamming distance between a query's code and an anchor code."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from retbench import Attack, Ball, Batch, Facts, HashNetwork, Knowledge, Noise, State, relax
from retbench_attacks.annealing import Annealing, anneal

Update = Literal["sign", "l2", "raw"]


class HammingDescent(Attack):
    """Moves each query, inside an l-infinity ball, until its code is near its anchor's. A subclass says which anchor.

    With h the anchor code and z the logits, each image x' minimises

        L(x') = -(1/K) h . tanh(alpha z(x'))

    by gradient steps; after each, x' - x is cut to [-eps, eps] and x' to [0, 1]. An image's path does not depend on
    the batch that it is in. The published codes differ in the step, and `update` switches between theirs:

    - `sign` moves every pixel by `step` (ATRDH, SAAT: 1/255 for eps 8/255); the default, because the size of the step
      is then known whatever the network;
    - `l2` moves the whole image by `step` in l2 norm (the code of Bai et al.: 1 in units of a normalised pixel);
    - `raw` moves it by `step` times the gradient of L. The code of ProS-GAN steps by 1 on a loss averaged over a batch
      of 32, which is 1/32 here.
    """

    eps: float = Field(8 / 255, gt=0, le=1, description="radius of the l-infinity ball, pixels in [0, 1]")
    steps: int = Field(2000, ge=1, le=100_000, description="gradient steps")
    update: Update = Field("sign", description="what a step follows: the gradient's sign, its unit vector, or itself")
    step: float | None = Field(
        None, gt=0, description="length of a step, pixels in [0, 1]; none means eps/8 for sign, 1 for l2, 1/32 for raw"
    )
    alpha: Annealing = Field(
        "absolute", description="slope of tanh: constant, by the step's number, or by the share of steps done"
    )
    alpha_value: float = Field(1.0, gt=0, le=100, description="slope of tanh while alpha is constant")
    random_start: bool = Field(False, description="start at a uniform point of the ball instead of the query")

    @property
    def ball(self) -> Ball:
        return Ball("linf", self.eps)

    def supports(self, facts: Facts) -> str | None:
        if facts.task in {"t2i", "t2t"}:
            return f"it perturbs pixels, and the queries of {facts.task} are texts; take a task that queries by image"
        return None

    def perturb(self, knowledge: Knowledge, batch: Batch, state: State, noise: Noise) -> Tensor:
        anchors = self.aim(knowledge, batch, state, noise).float()
        lowest, highest = (batch.images - self.eps).clamp_(min=0), (batch.images + self.eps).clamp_(max=1)
        images = self._start(batch.images, noise).clamp(lowest, highest)
        for step in range(self.steps):
            alpha = anneal(self.alpha, step, self.steps, self.alpha_value)
            gradient = _gradient(knowledge.network, images, anchors, alpha)
            images = images.sub_(_direct(gradient, self.update), alpha=self._step).clamp_(lowest, highest)
        return images

    @abstractmethod
    def aim(self, knowledge: Knowledge, batch: Batch, state: State, noise: Noise) -> Tensor:
        """Returns the anchors int8 (B, K) in {-1, +1}: the codes that the batch's queries are moved towards."""

    @property
    def _step(self) -> float:
        return self.step if self.step is not None else {"sign": self.eps / 8, "l2": 1.0, "raw": 1 / 32}[self.update]

    def _start(self, images: Tensor, noise: Noise) -> Tensor:
        if not self.random_start:
            return images
        return images + self.eps * (2 * noise.uniform("start", tuple(images.shape[1:])) - 1)


def _gradient(network: HashNetwork, images: Tensor, anchors: Tensor, alpha: float) -> Tensor:
    """Returns dL/dx' (B, 3, H, W), each image's own: the sum over the batch keeps the images apart."""
    pixels = images.detach().requires_grad_()
    loss = -(anchors * relax(network.image(pixels), alpha)).mean(dim=1).sum()
    return torch.autograd.grad(loss, pixels)[0]


def _direct(gradient: Tensor, update: Update) -> Tensor:
    """Returns what a step of length 1 follows; a zero gradient stays zero."""
    if update == "sign":
        return gradient.sign_()
    if update == "l2":
        return normalize(gradient.flatten(1), eps=torch.finfo(gradient.dtype).tiny).view_as(gradient)
    return gradient
