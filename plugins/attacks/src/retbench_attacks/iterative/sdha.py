"""Smart deep hashing attack: moves a query away from its relevant codes, weighting the nearest ones most.

Lu, Chen, Sun, Wang, Wang and Yang 2021, "A Smart Adversarial Attack on Deep Hashing Based Image Retrieval", ICMR; the
formulas are those of the code of SAAT.

That code returns the codes from before the last update of the images. Here the core encodes the returned images.
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

    The surrogate is a smooth distance to the relevant training codes: those that share a class with the query, or with
    its target if `targeted`; see `surrogate_loss`. A query without relevant training codes uses its own clean code. The
    published code averages the loss over a batch of 128; Adam is invariant to that factor, so here each image has its
    own loss.

    Untargeted, a training code at distance 0 has the weight (1e-8)^(-1/2) = 10 000, so at first the loss is dominated
    by the query's own code. This is as published.
    """

    name: ClassVar[str] = "sdha"
    source: ClassVar[str] = "Lu et al. 2021; loss, Adam and 1500 steps as in the code of SAAT"
    needs: ClassVar[frozenset[Need]] = frozenset({"training", "training_codes"})

    steps: int = Field(1500, ge=1, le=100_000, description="gradient steps")
    alpha: Annealing = Field(
        "relative",
        description="schedule of tanh's slope: constant, by step number (absolute), or by fraction of steps (relative)",
    )
    targeted: bool = Field(
        False, description="approach the codes relevant to the target instead of leaving those relevant to the query"
    )
    step_size: float = Field(0.01, gt=0, description="Adam's learning rate, pixels in [0, 1]")
    weight: float = Field(25.0, ge=0, description="weight of the surrogate, before the division by K")

    @property
    def goal(self) -> Goal:
        return "targeted" if self.targeted else "untargeted"

    def objective(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Objective:
        relevant = find_relevant_codes(knowledge, batch, batch.target_labels if self.targeted else batch.labels)
        weight = self.weight / relevant.codes.shape[1]

        def loss(codes: Tensor, images: Tensor) -> Tensor:
            change = (images - batch.images).square().mean(dim=(1, 2, 3))
            return change + weight * surrogate_loss(codes, relevant, self.targeted)

        return loss

    def new_update(self) -> Update:
        return Adam(self.step_size)


class RelevantCodes(NamedTuple):
    """Codes and their relevance to each query.

    Attributes:
        codes: float (N, K) in {-1, +1}.
        weights: float (B, N): 1/n for each of the n codes relevant to query i, 0 for the others; rows sum to 1.
    """

    codes: Tensor
    weights: Tensor


def find_relevant_codes(knowledge: Knowledge, batch: Batch, labels: Tensor) -> RelevantCodes:
    """Return the training codes that share a class with `labels` (B, C), followed by the B clean codes of the queries.

    The clean code of a query is relevant only to itself, and only if no training code is.
    """
    relevant = labels.float() @ knowledge.training.labels.float().T > 0
    with torch.no_grad():
        query_codes = sign(knowledge.network.image(batch.images))
    has_none = ~relevant.any(dim=1)
    relevance = torch.cat([relevant, has_none.diag()], dim=1).float()
    codes = torch.cat([knowledge.grant("training_codes"), query_codes]).float()
    return RelevantCodes(codes, relevance / relevance.sum(dim=1, keepdim=True))


def surrogate_loss(codes: Tensor, relevant: RelevantCodes, targeted: bool) -> Tensor:
    """Return (B,): the weighted mean over the relevant codes r of a smooth distance D to a query's relaxed code q.

    With the sigmoid s, the Hamming distance d between sign(q) and r, and sums over bits,

        untargeted  -mean_r (d + 1e-8)^(-1/2) D,  D = sum 1/2 |q - r| s(5 q r) + sum (1 - s(5 q r))
        targeted    +mean_r (d + 1e-8)^(0.3)  D,  D = sum 1/2 |q - r| s(-10 q r)

    The weights have no gradient. Each bit of r is +1 or -1, so D is linear in r given its values at both; two matrix
    products then replace a tensor of size B x N x K.
    """
    weights = _weigh_by_distance(codes.detach(), relevant, targeted)
    at_plus, at_minus = _bit_distance(codes, targeted), _bit_distance(-codes, targeted)
    constant = weights.sum(dim=1) * (at_plus + at_minus).sum(dim=1)
    linear = ((at_plus - at_minus) * (weights @ relevant.codes)).sum(dim=1)
    return (1 if targeted else -1) * (constant + linear) / 2


def _weigh_by_distance(codes: Tensor, relevant: RelevantCodes, targeted: bool) -> Tensor:
    """Return (B, N): the weights of the relevant codes times a power of their distance.

    Computed in place: allocating B x N memory costs more than the arithmetic.
    """
    distances = (sign(codes).float() @ relevant.codes.T).mul_(-0.5).add_(codes.shape[1] / 2)
    return distances.add_(1e-8).pow_(0.3 if targeted else -0.5).mul_(relevant.weights)


def _bit_distance(agreement: Tensor, targeted: bool) -> Tensor:
    """Return the term of D for each bit, from `agreement` = q r in [-1, 1], where |q - r| = 1 - q r."""
    if targeted:
        return (1 - agreement) / 2 * torch.sigmoid(-10 * agreement)
    gate = torch.sigmoid(5 * agreement)
    return (1 - agreement) / 2 * gate + 1 - gate
