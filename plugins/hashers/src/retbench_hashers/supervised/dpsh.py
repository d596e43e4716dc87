"""Deep pairwise-supervised hashing.

Li, Wang and Kang 2016, "Feature Learning based Deep Supervised Hashing with Pairwise Labels", IJCAI.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import mse_loss, softplus

from retbench import sign
from retbench_hashers.pair_similarity import pair_similarity
from retbench_hashers.supervised.supervised_hasher import SupervisedHasher


class DPSH(SupervisedHasher):
    """Negative log-likelihood of the pairs' similarity given their inner products, and a quantization penalty.

    With u the relaxed codes of a batch, U the memory, s_ij = 1 for a shared class and theta_ij = u_i . U_j / 2,

        L = mean_ij [ log(1 + exp theta_ij) - s_ij theta_ij ] + penalty.

    The penalty `mean` is eta * mean_ik (sign u_ik - u_ik)^2, as in the code of CgAT (eta 0.001). The penalty
    `published` is eta / (N B) * sum_i |sign u_i - u_i|^2, as in the code of ProS-GAN, ATRDH and SAAT (eta 50). It is
    equal to `mean` with eta K / N: 0.32 for eta 50, 32 bits and 5000 training images.
    """

    name: ClassVar[str] = "dpsh"
    source: ClassVar[str] = "Li et al. 2016, relaxed likelihood of pairwise labels; memory as in the code of ProS-GAN"

    quantization: float = Field(0.3, ge=0, le=1000, description="eta, weight of the quantization penalty")
    quantization_form: Literal["mean", "published"] = Field(
        "mean", description="penalty per code bit, or the published sum over the batch divided by N B"
    )

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        similarity = pair_similarity(labels, rows)
        theta = outputs @ memory.T / 2
        likelihood = (softplus(theta) - similarity * theta).mean()
        penalty = mse_loss(outputs, sign(outputs).to(outputs.dtype))
        return likelihood + self._penalty_weight(*memory.shape) * penalty

    def _penalty_weight(self, items: int, bits: int) -> float:
        return self.quantization if self.quantization_form == "mean" else self.quantization * bits / items
