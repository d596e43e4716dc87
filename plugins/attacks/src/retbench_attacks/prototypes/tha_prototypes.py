"""The losses of THA's prototype network, among them the circle loss.

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
    """Trains a prototype network with the circle loss, divided by the batch size, and a quantization loss."""

    name: ClassVar[str] = "tha-prototypes"
    source: ClassVar[str] = "Wang et al. 2021 (SIGIR); losses and training as in the codes of ATRDH and SAAT"
    reconstruct: ClassVar[bool] = False

    batch_size: int = Field(
        32, ge=1, le=65_536, description="label vectors per step: 32 in ATRDH's code, 128 in SAAT's"
    )
    form: CircleForm = Field(
        "sum", description="circle loss: a sum of two logarithms (ATRDH), or the softplus of it (SAAT)"
    )
    triangular: bool = Field(False, description="leave out the pairs that a bug in the published codes leaves out")
    quantization: float = Field(1e-4, ge=0, description="weight of the distance of codes to their signs")

    def loss(self, prototypes: Prototypes, labels: Tensor, training_codes: Tensor, similar: Tensor) -> Tensor:
        circle = circle_loss(prototypes.codes, training_codes, similar, self.form, self.triangular)
        return circle / len(labels) + self.quantization * quantization_loss(prototypes.codes)


def circle_loss(
    codes: Tensor, training_codes: Tensor, similar: Tensor, form: CircleForm = "sum", triangular: bool = False
) -> Tensor:
    """Return the circle loss, a scalar over all pairs, not divided by B; only `codes` receive a gradient.

    With c = codes . training_codes / K, weights a_p = max(0, 2 - c_p) and a_n = max(0, 2 + c_n) without gradient, and
    LSE the log-sum-exp over all similar (p) or dissimilar (n) pairs, it is

        LSE(a_n c_n) + LSE(-a_p c_p)        `sum`, the code of ATRDH; can be negative
        softplus of that sum                `softplus`, Sun et al. and the code of SAAT; never negative

    If there are no similar or no dissimilar pairs, that term is left out, because an empty sum would make the loss
    minus infinity. Without any pairs the loss is 0 (`sum`) or log 2 (`softplus`).

    Args:
        codes: float (B, K) in [-1, 1].
        training_codes: (N, K) in {-1, +1}, of any dtype.
        similar: bool (B, N).
        form: `sum` or `softplus`.
        triangular: whether row i leaves out the columns 0 to i, as in both published codes. That filter is meant for
            the square matrix of a batch with itself; on this rectangular matrix it drops arbitrary pairs.
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
