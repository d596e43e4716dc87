"""The prototype net of the targeted attack that comes with ATRDH, and the circle loss that trains it.

Wang, Zhang, Lu and Xu 2021, "Targeted Attack and Defense for Deep Hashing", SIGIR; the loss is that of Sun et al. 2020,
"Circle Loss", CVPR, without a margin.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from retbench_attacks.prototypes.prototype_network import Prototypes
from retbench_attacks.prototypes.prototype_part import PrototypePart, quantization_loss

CircleForm = Literal["sum", "softplus"]


class ThaPrototypes(PrototypePart):
    """Minimizes the circle loss divided by the batch, and the distance of the codes to their signs."""

    name: ClassVar[str] = "tha-prototypes"
    source: ClassVar[str] = "Wang et al. 2021 (SIGIR); losses and training as in the codes of ATRDH and SAAT"
    reconstruct: ClassVar[bool] = False

    batch_size: int = Field(
        32, ge=1, le=65_536, description="label vectors of one step; 32 in ATRDH's code, 128 in SAAT's"
    )
    form: CircleForm = Field("sum", description="circle loss: a sum of two logarithms (ATRDH), or its softplus (SAAT)")
    triangular: bool = Field(False, description="leave out the pairs that the published codes leave out by a slip")
    quantization: float = Field(1e-4, ge=0, description="weight of the distance to the signs")

    def loss(self, prototypes: Prototypes, labels: Tensor, training_codes: Tensor, similar: Tensor) -> Tensor:
        circle = circle_loss(prototypes.codes, training_codes, similar, self.form, self.triangular)
        return circle / len(labels) + self.quantization * quantization_loss(prototypes.codes)


def circle_loss(
    codes: Tensor, training_codes: Tensor, similar: Tensor, form: CircleForm = "sum", triangular: bool = False
) -> Tensor:
    """Return a scalar, pooled over all pairs and not divided by B; a gradient flows into `codes` alone.

    With c = codes . training_codes / K, weights a_p = max(0, 2 - c_p) and a_n = max(0, 2 + c_n) that take no gradient,
    and LSE the log of the sum of exponentials over all similar (p) or dissimilar (n) pairs, it is

        LSE(a_n c_n) + LSE(-a_p c_p)        `sum`, the code of ATRDH; can be negative
        softplus of that sum                `softplus`, Sun et al. and the code of SAAT; never negative

    A side without pairs is left out: its empty sum would make the loss minus infinity. No pairs at all give 0 or log 2.

    Args:
        codes: float (B, K) in [-1, 1].
        training_codes: (N, K) in {-1, +1}, of any dtype.
        similar: bool (B, N).
        form: which of the two.
        triangular: whether row i leaves out the columns 0 to i, as both published codes do. That filter is meant for a
            square matrix of a batch with itself; this one is rectangular, and the filter drops pairs by chance.
    """
    similarities = codes @ training_codes.to(codes).T / codes.shape[1]
    dissimilar = ~similar
    if triangular:
        similar, dissimilar = similar.triu(1), dissimilar.triu(1)
    near, far = similarities[similar], similarities[dissimilar]
    total = _log_sum_exp((2 + far.detach()).clamp(min=0) * far) + _log_sum_exp((near.detach() - 2).clamp(max=0) * near)
    return F.softplus(total) if form == "softplus" else total


def _log_sum_exp(values: Tensor) -> Tensor:
    return values.logsumexp(dim=0) if len(values) else values.sum()
