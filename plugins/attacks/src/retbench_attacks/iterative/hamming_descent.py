"""Descent on the Hamming distance between a query's code and an anchor code."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field
from torch import Tensor, nn

from retbench import Batch, Knowledge, Noise
from retbench_attacks.iterative.ball_descent import BallDescent, Objective
from retbench_attacks.iterative.updates import Direction, Update, gradient_update


class HammingDescent(BallDescent):
    """Moves each query until its code is near its anchor's. A subclass chooses the anchors.

    With h the anchor code and z the logits, each image x' minimizes

        L(x') = -(1/K) h . tanh(alpha z(x')).

    The published codes differ in the step, and `update` switches between theirs:

    - `sign` moves every pixel by `step_size` (ATRDH, SAAT: 1/255 for eps 8/255); the default, because the change is
      then known whatever the network;
    - `l2` moves the whole image by `step_size` in l2 norm (the code of Bai et al.: 1 in units of a conv_norm_relu pixel);
    - `raw` moves it by `step_size` times the gradient of L. The code of ProS-GAN steps by 1 on a loss averaged over a
      batch of 32, which is 1/32 here.
    """

    update: Direction = Field(
        "sign", description="what a step follows: the gradient's sign, its unit vector, or itself"
    )
    step_size: float | None = Field(
        None, gt=0, description="length of a step, pixels in [0, 1]; none means eps/8 for sign, 1 for l2, 1/32 for raw"
    )

    def objective(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Objective:
        anchors = self.aim(knowledge, batch, module, noise).float()
        return lambda codes, images: -(anchors * codes).mean(dim=1)

    def new_update(self) -> Update:
        published = {"sign": self.eps / 8, "l2": 1.0, "raw": 1 / 32}
        return gradient_update(self.update, self.step_size if self.step_size is not None else published[self.update])

    @abstractmethod
    def aim(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        """Return the anchors int8 (B, K) in {-1, +1}: the codes that the batch's queries are moved towards."""
