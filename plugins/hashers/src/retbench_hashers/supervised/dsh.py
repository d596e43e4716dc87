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
    """Contrastive loss on squared distances of unbounded outputs, and a penalty that pulls them to -1 and +1.

    With u the outputs of a batch, U the memory, D_ij = |u_i - U_j|^2 and s_ij = 1 for a shared class,

        L = mean_ij [ s_ij D_ij + (1 - s_ij) max(2K - D_ij, 0) ] / 2 + eta mean_ik | 1 - |u_ik| |    (section 3).

    Training uses the logits without tanh. `loss` also accepts relaxed codes in (-1, 1), which adversarial training
    passes to every hasher.

    A row of the memory counts as dissimilar until its first visit, as in the code of DeepHash, which stores the labels
    with the codes. Otherwise it would pull the codes of its class to zero.

    D is computed as |u|^2 + |U|^2 - 2 u . U, so that no tensor of B x N x K is built.
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
