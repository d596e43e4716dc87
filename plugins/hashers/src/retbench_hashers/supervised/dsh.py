"""Deep supervised hashing.

Liu, Wang, Shan and Chen 2016, "Deep Supervised Hashing for Fast Image Retrieval", CVPR.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from retbench_hashers.pair_similarity import pair_similarity
from retbench_hashers.supervised.supervised_hasher import SupervisedHasher
from retbench_hashers.training import TrainingStep


class DSH(SupervisedHasher):
    """A contrastive loss on the squared distances of unbounded outputs, which are drawn to -1 and +1 (section 3).

    With u the outputs of a batch, U the memory, D_ij = |u_i - U_j|^2 and s_ij = 1 for a shared class,

        L = mean_ij [ s_ij D_ij + (1 - s_ij) max(2K - D_ij, 0) ] / 2 + eta mean_ik | 1 - |u_ik| |.

    It trains on its logits as they are, without tanh: the second term draws them to -1 and +1. `loss` also takes
    relaxed codes in (-1, 1), which adversarial training passes to every hasher.

    A row of the memory that was never visited counts as dissimilar, as in the code of DeepHash, where labels join the
    memory with the codes: otherwise it would draw the codes of its class to zero.

    D is |u|^2 + |U|^2 - 2 u . U: no tensor of B x N x K is built.
    """

    name: ClassVar[str] = "dsh"
    source: ClassVar[str] = "Liu et al. 2016, section 3; memory of all training codes as in the code of DeepHash"

    quantization: float = Field(0.1, ge=0, le=1000, description="eta, weight of the distance to -1 and +1")

    def outputs(self, logits: Tensor, step: TrainingStep) -> Tensor:
        return logits

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        squares = outputs.square().sum(dim=1)[:, None] + memory.square().sum(dim=1)
        distances = squares - 2 * (outputs @ memory.T)
        similar = pair_similarity(labels, rows) * memory.any(dim=1)
        margin = 2 * outputs.shape[1]
        contrast = similar * distances + (1 - similar) * (margin - distances).clamp(min=0)
        return contrast.mean() / 2 + self.quantization * (1 - outputs.abs()).abs().mean()
