"""Descent on the Hamming distance between a query's code and an anchor code."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field
from torch import Tensor, nn

from retbench import Batch, Knowledge, Noise
from retbench_attacks.iterative.ball_descent import BallDescent, Objective
from retbench_attacks.iterative.updates import Direction, Update, gradient_update


class HammingDescent(BallDescent):
    """Moves the code of each query towards an anchor code. A subclass chooses the anchors.

    With h the anchor code and z the logits, it minimizes for each image x'

        L(x') = -(1/K) h . tanh(alpha z(x')).

    The published codes use different steps; `update` selects one:

    - `sign` (default) changes every pixel by `step_size`, whatever the scale of the gradients. ATRDH and SAAT: 1/255
      for eps 8/255.
    - `l2` changes the image by `step_size` in l2 norm. The code of Bai et al.: 1, in units of normalized pixels.
    - `raw` changes the image by `step_size` times the gradient of L. The code of ProS-GAN: 1 on a loss averaged over a
      batch of 32, which is 1/32 here.
    """

    update: Direction = Field(
        "sign",
        description="direction of a step: sign of the gradient, its unit vector (l2), or the gradient itself (raw)",
    )
    step_size: float | None = Field(
        None, gt=0, description="size of a step, pixels in [0, 1]; null means eps/8 for sign, 1 for l2, 1/32 for raw"
    )

    def objective(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Objective:
        anchors = self.compute_anchors(knowledge, batch, module, noise).float()
        return lambda codes, images: -(anchors * codes).mean(dim=1)

    def new_update(self) -> Update:
        published = {"sign": self.eps / 8, "l2": 1.0, "raw": 1 / 32}
        return gradient_update(self.update, self.step_size if self.step_size is not None else published[self.update])

    @abstractmethod
    def compute_anchors(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        """Return the anchor codes of the queries, int8 (B, K) in {-1, +1}."""
