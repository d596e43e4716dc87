"""Smart deep hashing attack: pushes a query away from the codes that answer it, the nearest ones first.

Lu, Chen, Sun, Wang, Wang and Yang 2021, "A Smart Adversarial Attack on Deep Hashing Based Image Retrieval", ICMR; the
formulas are those of the code of SAAT.

That code returns the code of the images before their last update. Here the core encodes the images returned.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench import Batch, Goal, Knowledge, Need, Noise, sign
from retbench_attacks.iterative.annealing import Annealing
from retbench_attacks.iterative.ball_descent import BallDescent, Objective
from retbench_attacks.iterative.updates import Adam, Update


class SDHA(BallDescent):
    """Minimizes (mean squared change of pixels) + (weight/K) surrogate, by Adam on the pixels.

    The surrogate replaces the distance to the training codes that share a class with the query (with its target, if
    `targeted`); see `surrogate`. A query that shares a class with no training image uses its own clean code. The
    published code averages over a batch of 128; Adam's steps do not feel that factor, so each image goes alone.

    Trap: untargeted, a training code at distance 0 weighs (1e-8)^(-1/2) = 10 000, so at first the push away from a
    query's own code drowns all others. It is kept, as published.
    """

    name: ClassVar[str] = "sdha"
    source: ClassVar[str] = "Lu et al. 2021; loss, Adam and 1500 steps as in the code of SAAT"
    needs: ClassVar[frozenset[Need]] = frozenset({"training", "training_codes"})

    steps: int = Field(1500, ge=1, le=100_000, description="gradient steps")
    alpha: Annealing = Field(
        "relative", description="slope of tanh: constant, by the step's number, or by the share of steps done"
    )
    targeted: bool = Field(False, description="approach the target's answers instead of leaving the query's own")
    step_size: float = Field(0.01, gt=0, description="Adam's learning rate, pixels in [0, 1]")
    weight: float = Field(25.0, ge=0, description="weight of the surrogate, before the division by K")

    @property
    def goal(self) -> Goal:
        return "targeted" if self.targeted else "untargeted"

    def objective(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Objective:
        answers = find_relevant_codes(knowledge, batch, batch.target_labels if self.targeted else batch.labels)
        weight = self.weight / answers.codes.shape[1]

        def cost(codes: Tensor, images: Tensor) -> Tensor:
            change = (images - batch.images).square().mean(dim=(1, 2, 3))
            return change + weight * surrogate(codes, answers, self.targeted)

        return cost

    def new_update(self) -> Update:
        return Adam(self.step_size)


class RelevantCodes(NamedTuple):
    """The codes that count as right answers.

    Attributes:
        codes: float (N, K) in {-1, +1}.
        shares: float (B, N): 1/n for each of the n codes that answer query i, 0 for the others; rows sum to 1.
    """

    codes: Tensor
    shares: Tensor


def find_relevant_codes(knowledge: Knowledge, batch: Batch, labels: Tensor) -> RelevantCodes:
    """Return the training codes that share a class with each of `labels` (B, C); where none does, the query's own."""
    relevant = labels.float() @ knowledge.training.labels.float().T > 0
    with torch.no_grad():
        own = sign(knowledge.network.image(batch.images))
    lonely = ~relevant.any(dim=1)
    relevant = torch.cat([relevant, lonely.diag()], dim=1).float()
    codes = torch.cat([knowledge.grant("training_codes"), own]).float()
    return RelevantCodes(codes, relevant / relevant.sum(dim=1, keepdim=True))


def surrogate(codes: Tensor, answers: RelevantCodes, targeted: bool) -> Tensor:
    """Return (B,): the weighted mean over a query's answers r of a smooth distance D to its relaxed code q.

    With a sigmoid s, the Hamming distance d between sign(q) and r, and sums over bits,

        untargeted  -mean_r (d + 1e-8)^(-1/2) D,  D = sum 1/2 |q - r| s(5 q r) + sum (1 - s(5 q r))
        targeted    +mean_r (d + 1e-8)^(0.3)  D,  D = sum 1/2 |q - r| s(-10 q r)

    The weights take no gradient. Because r is +1 or -1, D is linear in r once its value at either is known, so that two
    matrix products replace a tensor of B x N x K.
    """
    weights = _distance_weights(codes.detach(), answers, targeted)
    agreeing, opposing = _bit_distance(codes, targeted), _bit_distance(-codes, targeted)
    level = weights.sum(dim=1) * (agreeing + opposing).sum(dim=1)
    tilt = ((agreeing - opposing) * (weights @ answers.codes)).sum(dim=1)
    return (1 if targeted else -1) * (level + tilt) / 2


def _distance_weights(codes: Tensor, answers: RelevantCodes, targeted: bool) -> Tensor:
    """Return (B, N): each answer's share of the mean, times its weight by distance.

    In place: at B x N, new memory costs more than the arithmetic.
    """
    distances = (sign(codes).float() @ answers.codes.T).mul_(-0.5).add_(codes.shape[1] / 2)
    return distances.add_(1e-8).pow_(0.3 if targeted else -0.5).mul_(answers.shares)


def _bit_distance(agreement: Tensor, targeted: bool) -> Tensor:
    """Return one bit's share of D, of `agreement` = q r in [-1, 1], where |q - r| = 1 - q r."""
    if targeted:
        return (1 - agreement) / 2 * torch.sigmoid(-10 * agreement)
    turn = torch.sigmoid(5 * agreement)
    return (1 - agreement) / 2 * turn + 1 - turn
