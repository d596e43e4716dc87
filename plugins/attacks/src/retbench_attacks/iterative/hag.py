"""Hash adversary generation: an untargeted attack that flips the bits of a query's code.

Yang, Liu, Deng and Tao 2018, "Adversarial Examples for Hamming Space Search", IEEE Transactions on Cybernetics.

Both published codes return the adversarial images together with the codes from before the last update. Here the core
encodes the returned images, so the codes match.
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
"""Distance of a relaxed bit from its clean sign, at most 2, above which the bit counts as flipped."""


class HAG(BallDescent):
    """Moves every relaxed bit away from that of the clean query until it has flipped.

    `form` selects one of two published codes; the default is SAAT's, which masks flipped bits. Both average the loss
    over a batch (128 and 32), so their steps depend on its size; here each image takes the steps of that batch size.
    The code of ATRDH starts at random and keeps alpha at 1: `{form: atrdh, alpha: constant, random_start: true}`. As
    published, it is called with 0 steps.
    """

    name: ClassVar[str] = "hag"
    source: ClassVar[str] = "Yang et al. 2018; loss, step and 2000 steps as in the codes of SAAT and of ATRDH"

    alpha: Annealing = Field(
        "relative",
        description="schedule of tanh's slope: constant, by step number (absolute), or by fraction of steps (relative)",
    )
    form: Literal["saat", "atrdh"] = Field(
        "saat", description="loss: flipped bits are masked (saat), or only counted, with a second tanh (atrdh)"
    )
    step_size: float | None = Field(
        None, gt=0, description="factor of the gradient; null means 100/128 for saat, 1/32 for atrdh"
    )
    momentum: float | None = Field(None, ge=0, lt=1, description="momentum; null means 0.9 for saat, 0 for atrdh")

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
    """Return (B,): (sum_k m_k c_k h_k / sum_k m_k + 1)^2 + (mean_k m_k c_k)^2, for codes c and clean codes h (B, K).

    The mask m, without gradient, is 0 for flipped bits and 1 for others. If all bits have flipped, the first term is 1.

    Source: the code of SAAT.
    """
    mask = _unflipped_mask(codes, clean)
    agreement = (mask * codes * clean).sum(dim=1) / (mask.sum(dim=1) + 1e-8)
    return (agreement + 1).square() + (mask * codes).mean(dim=1).square()


def unmasked_loss(codes: Tensor, clean: Tensor) -> Tensor:
    """Return (B,): (sum_k c_k h_k / sum_k m_k + 1)^2, with a gradient for flipped bits too; m as in `masked_loss`.

    If all bits have flipped, the loss and its gradient are 0; the published code divides by zero.

    Source: the code of ATRDH.
    """
    count = _unflipped_mask(codes, clean).sum(dim=1)
    agreement = (codes * clean).sum(dim=1) / count.clamp(min=0.5)
    return torch.where(count > 0, (agreement + 1).square(), 0.0)


def _unflipped_mask(codes: Tensor, clean: Tensor) -> Tensor:
    """Return float (B, K): 1 for bits that have not flipped, 0 for flipped bits, 1/2 exactly at the threshold."""
    return (1 - ((codes.detach() - sign(clean)).abs() - FLIP_THRESHOLD).sign()) / 2
