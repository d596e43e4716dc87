"""The losses of ProS-GAN's prototype network.

Wang, Zhang, Wu, Shen and Lu 2021, "Prototype-supervised Adversarial Network for Targeted Attack of Deep Hashing", CVPR.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from retbench_attacks.prototypes.prototype_network import Prototypes
from retbench_attacks.prototypes.prototype_part import PrototypePart, label_loss, quantization_loss


class ProsGanPrototypes(PrototypePart):
    """Trains a prototype network with the loss J1 + quantization J2 + reconstruction J3.

    J1 is the negative log likelihood of pairwise similarities, J2 the distance of the codes to their signs, J3 the mean
    squared error of the predicted labels.
    """

    name: ClassVar[str] = "prosgan-prototypes"
    source: ClassVar[str] = "Wang et al. 2021, section 3.2; weights and training as in RetPur, appendix E"
    reconstruct: ClassVar[bool] = True

    quantization: float = Field(1e-4, ge=0, description="weight of the distance of codes to their signs (alpha_2)")
    reconstruction: float = Field(1.0, ge=0, description="weight of the error of predicted labels (alpha_3)")

    def loss(self, prototypes: Prototypes, labels: Tensor, training_codes: Tensor, similar: Tensor) -> Tensor:
        total = likelihood_loss(prototypes.codes, training_codes, similar)
        total = total + self.quantization * quantization_loss(prototypes.codes)
        return total + self.reconstruction * label_loss(prototypes, labels)


def likelihood_loss(codes: Tensor, training_codes: Tensor, similar: Tensor) -> Tensor:
    """Return mean_ij [log(1 + exp theta_ij) - s_ij theta_ij], theta_ij half the inner product of codes i, j.

    Source: Wang et al. 2021, the first term of the prototype loss, with the code's division by N B.
    """
    theta = codes @ training_codes.to(codes).T / 2
    return (F.softplus(theta) - similar * theta).mean()
