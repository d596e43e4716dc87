"""The prototype net of the targeted attack that comes with ATRDH.

Wang, Zhang, Lu and Xu 2021, "Targeted Attack and Defense for Deep Hashing", SIGIR.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from retbench_attacks.circle_loss import CircleForm, circle_loss
from retbench_attacks.prototype_net import Prototypes
from retbench_attacks.prototype_part import PrototypePart, quantisation_loss


class ThaPrototypes(PrototypePart):
    """Minimises the circle loss divided by the batch, and the distance of the codes to their signs."""

    name: ClassVar[str] = "tha-prototypes"
    source: ClassVar[str] = "Wang et al. 2021 (SIGIR); losses and training as in the codes of ATRDH and SAAT"
    reconstruct: ClassVar[bool] = False

    batch: int = Field(32, ge=1, le=65_536, description="label vectors of one step; 32 in ATRDH's code, 128 in SAAT's")
    form: CircleForm = Field("sum", description="circle loss: a sum of two logarithms (ATRDH), or its softplus (SAAT)")
    triangular: bool = Field(False, description="leave out the pairs that the published codes leave out by a slip")
    quantisation: float = Field(1e-4, ge=0, description="weight of the distance to the signs")

    def loss(self, prototypes: Prototypes, labels: Tensor, training_codes: Tensor, similar: Tensor) -> Tensor:
        circle = circle_loss(prototypes.codes, training_codes, similar, self.form, self.triangular)
        return circle / len(labels) + self.quantisation * quantisation_loss(prototypes.codes)
