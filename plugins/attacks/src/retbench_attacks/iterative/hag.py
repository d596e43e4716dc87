"""Hash adversary generation: an untargeted attack that turns a query's code over.

Yang, Liu, Deng and Tao 2018, "Adversarial Examples for Hamming Space Search", IEEE Transactions on Cybernetics.

Both published codes return the code of the images before their last update, and the images after it. Here the core
encodes the images that are returned, so the two belong together.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench import Batch, Goal, Knowledge, Noise, relax, sign
from retbench_attacks.iterative.annealing import Annealing
from retbench_attacks.iterative.ball_descent import BallDescent, Objective
from retbench_attacks.iterative.updates import Momentum, Update

FLIP_THRESHOLD = 1.5
"""How far from its clean sign, of at most 2, a relaxed bit counts as turned over."""


class HAG(BallDescent):
    """Pushes every relaxed bit away from the clean query's, until it has turned over.

    Two published codes are on offer; the default is SAAT's, whose mask stops a bit that has turned. Both average over
    a batch, which makes their steps depend on its size; the steps here are those of their batches of 128 and 32, for
    each image alone. The code of ATRDH starts at random and keeps alpha at 1:
    `{form: atrdh, alpha: constant, random_start: true}`; it ships with no steps at all.
    """

    name: ClassVar[str] = "hag"
    source: ClassVar[str] = "Yang et al. 2018; loss, step and 2000 steps as in the codes of SAAT and of ATRDH"

    alpha: Annealing = Field(
        "relative", description="slope of tanh: constant, by the step's number, or by the share of steps done"
    )
    form: Literal["saat", "atrdh"] = Field(
        "saat", description="loss: turned bits are masked (saat), or only counted, under a second tanh (atrdh)"
    )
    step_size: float | None = Field(
        None, gt=0, description="length of a step, times the gradient; none means 100/128 for saat, 1/32 for atrdh"
    )
    momentum: float | None = Field(
        None, ge=0, lt=1, description="share of the last move in the next; none means 0.9 for saat, 0 for atrdh"
    )

    @property
    def goal(self) -> Goal:
        return "untargeted"

    def objective(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Objective:
        with torch.no_grad():
            clean = relax(knowledge.network.image(batch.images))
        if self.form == "saat":
            return lambda codes, images: masked_loss(codes, clean)
        return lambda codes, images: unmasked_loss(codes.tanh(), clean.tanh())

    def new_update(self) -> Update:
        step_size, momentum = (100 / 128, 0.9) if self.form == "saat" else (1 / 32, 0.0)
        return Momentum(
            self.step_size if self.step_size is not None else step_size,
            self.momentum if self.momentum is not None else momentum,
        )


def masked_loss(codes: Tensor, clean: Tensor) -> Tensor:
    """Return (B,): (sum_k m_k c_k h_k / sum_k m_k + 1)^2 + (mean_k m_k c_k)^2, of codes c and clean codes h (B, K).

    The mask m is 0 for a bit that has turned and 1 for another, takes no gradient; if all have, the first term is 1.

    Source: the code of SAAT.
    """
    mask = _unflipped_mask(codes, clean)
    agreement = (mask * codes * clean).sum(dim=1) / (mask.sum(dim=1) + 1e-8)
    return (agreement + 1).square() + (mask * codes).mean(dim=1).square()


def unmasked_loss(codes: Tensor, clean: Tensor) -> Tensor:
    """Return (B,): (sum_k c_k h_k / sum_k m_k + 1)^2, which counts the bits not turned but pushes on all of them.

    Where all bits have turned it is 0 and pushes no more; the published code divides by zero there.

    Source: the code of ATRDH.
    """
    count = _unflipped_mask(codes, clean).sum(dim=1)
    agreement = (codes * clean).sum(dim=1) / count.clamp(min=0.5)
    return torch.where(count > 0, (agreement + 1).square(), 0.0)


def _unflipped_mask(codes: Tensor, clean: Tensor) -> Tensor:
    """Return float (B, K): 1 for a bit that has not turned, 0 for one that has, 1/2 on the border."""
    return (1 - ((codes.detach() - sign(clean)).abs() - FLIP_THRESHOLD).sign()) / 2
