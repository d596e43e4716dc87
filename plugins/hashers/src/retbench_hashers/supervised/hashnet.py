"""HashNet: pairs weighted by class balance, and a relaxation that approaches the sign during training.

Cao, Long, Wang and Yu 2017, "HashNet: Deep Learning to Hash by Continuation", ICCV.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from retbench import relax
from retbench_hashers.pair_similarity import pair_similarity
from retbench_hashers.supervised.supervised_hasher import SupervisedHasher
from retbench_hashers.training import TrainingStep


class HashNet(SupervisedHasher):
    """Weighted negative log-likelihood of the pairs' similarity given their inner products (section 3).

    With u the relaxed codes of a batch, U the memory, s_ij = 1 for a shared class and d_ij = a u_i . U_j,

        e_ij = log(1 + exp d_ij) - s_ij d_ij,    L = mean over similar pairs of e + mean over dissimilar pairs of e.

    This equals the published sum of w_ij e_ij / S, whose weights S / S_1 and S / S_0 balance similar and dissimilar
    pairs. If a batch has no similar or no dissimilar pair, that mean is 0; the published code divides by zero there.
    Without `class_weighted`, L is the mean of e over all pairs.

    Training relaxes by tanh(scale z). The scale is sqrt(1 + floor(n / 200)) in the n-th step in the code of ProS-GAN,
    ATRDH and SAAT (`steps`), sqrt(1 + floor(epoch / 20)) in that of DeepHash (`epochs`), and 1 in CgAT's (`none`).
    Encoding and attacks do not use the scale, which changes no sign.

    The code of DeepHash forms pairs within the batch (`pairs: batch`): both codes of a pair have a gradient.
    """

    name: ClassVar[str] = "hashnet"
    source: ClassVar[str] = "Cao et al. 2017, section 3; memory and continuation as in the code of ProS-GAN"

    slope: Annotated[float, Field(gt=0, le=100)] | Literal["10/K"] = Field(
        0.1, description="a, slope of the sigmoid of an inner product (ProS-GAN, ATRDH, CgAT: 0.1; SAAT: 10/K)"
    )
    class_weighted: bool = Field(True, description="whether similar and dissimilar pairs have the same total weight")
    continuation: Literal["steps", "epochs", "none"] = Field(
        "steps", description="growth of the scale inside tanh in training: every 200 steps, every 20 epochs, or none"
    )
    pairs: Literal["memory", "batch"] = Field(
        "memory", description="pairs of the batch with the memory of all training codes, or within the batch"
    )

    def outputs(self, logits: Tensor, step: TrainingStep) -> Tensor:
        return relax(logits, self._scale(step))

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        if self.pairs == "batch":
            labels, rows, memory = labels[rows], torch.arange(len(rows), device=rows.device), outputs
        slope = 10 / outputs.shape[1] if self.slope == "10/K" else self.slope
        similarity = pair_similarity(labels, rows)
        inner_products = slope * (outputs @ memory.T)
        losses = softplus(inner_products) - similarity * inner_products
        if not self.class_weighted:
            return losses.mean()
        return _masked_mean(losses, similarity) + _masked_mean(losses, 1 - similarity)

    def _scale(self, step: TrainingStep) -> float:
        increments = {"steps": (step.step + 1) // 200, "epochs": step.epoch // 20, "none": 0}
        return math.sqrt(1 + increments[self.continuation])


def _masked_mean(losses: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of `losses` where `mask` is 1; 0 if the mask is all 0."""
    return (losses * mask).sum() / mask.sum().clamp(min=1)
