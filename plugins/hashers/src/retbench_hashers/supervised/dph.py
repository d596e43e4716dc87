"""The pairwise hasher that papers on attacks call DPH.

Yang, Liu, Deng and Tao 2018, "Adversarial Examples for Hamming Space Search", IEEE Transactions on Cybernetics (HAG).
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import mse_loss

from retbench_hashers.pair_similarity import pair_similarity
from retbench_hashers.supervised.supervised_hasher import SupervisedHasher


class DPH(SupervisedHasher):
    """Squared error of the codes' inner products from +1 for pairs that share a class, -1 for others.

    With u the relaxed codes of a batch, U the memory and s_ij = 1 for a shared class,

        L = mean_ij ( u_i . U_j / K - (2 s_ij - 1) )^2.

    There is no quantization penalty. The code of ProS-GAN, ATRDH, SAAT and CgAT calls this loss DPH. RetPur cites Cao
    et al. 2018 for it, but their Deep Priority Hashing is another loss: a cross-entropy that gives confident pairs less
    weight, with a priority quantization term.
    """

    name: ClassVar[str] = "dph"
    source: ClassVar[str] = "Yang et al. 2018 (HAG), the target model's pairwise loss; not Cao et al. 2018"

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        inner_products = outputs @ memory.T / outputs.shape[1]
        return mse_loss(inner_products, 2 * pair_similarity(labels, rows) - 1)
