"""How a prototype net is trained against the attacked hasher."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from retbench import AttackPart, Context, Course, Knowledge, Need, State
from retbench_attacks.prototypes.prototype_network import PrototypeNetwork, Prototypes
from retbench_attacks.prototypes.target_vectors import distinct_label_vectors, draw_targets

MAX_CURVE_POINTS = 300
"""At most this many losses are kept as a curve."""


class PrototypePart(AttackPart):
    """Learns codes that are near the training codes which share a class with a label vector, and far from the others.

    A step draws label vectors of the database, each distinct one as likely; Adam's rate falls to a tenth after half of
    the steps and to a hundredth after three quarters. A subclass defines the loss.

    Every draw is keyed by its step, so a training that was killed resumes from its last checkpoint to the same weights.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"training", "training_codes", "database_labels"})
    reconstruct: ClassVar[bool]

    hidden: int = Field(4096, ge=1, le=65_536, description="units of the first layer")
    semantic: int = Field(512, ge=1, le=65_536, description="length of the semantic representation")
    steps: int = Field(30_000, ge=1, description="gradient steps")
    batch_size: int = Field(64, ge=1, le=65_536, description="label vectors of one step")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate, before it falls")

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        """Return the net's weights; the `loss` of some steps is recorded."""
        codes = knowledge.grant("training_codes").float()
        # Similarity is found among the distinct vectors: there are far fewer of them than training images.
        carried, groups = torch.unique(knowledge.training.labels, dim=0, return_inverse=True)
        carried = carried.float().T
        vectors = distinct_label_vectors(knowledge.grant("database_labels"))
        sizes = (vectors.shape[1], codes.shape[1], self.hidden, self.semantic)
        net = PrototypeNetwork(*sizes, reconstruct=self.reconstruct).to(ctx.device)
        optimizer = torch.optim.Adam(net.parameters(), betas=(0.5, 0.999))
        course = Course(ctx, {"net": net, "optimizer": optimizer})
        for step in range(course.step, self.steps):
            optimizer.param_groups[0]["lr"] = self.learning_rate * _decay(step, self.steps)
            labels = draw_targets(vectors, self.batch_size, ctx.noise, step)
            loss = self.loss(net(labels), labels, codes, (labels @ carried > 0)[:, groups])
            value = course.descend(optimizer, loss)
            if step % math.ceil(self.steps / MAX_CURVE_POINTS) == 0:
                course.log("loss", float(value))
            course.advance(self.steps)
            course.save_if_due()
        course.record()
        return net.state_dict()

    def module(self, state: State, device: torch.device) -> PrototypeNetwork:
        """Return the net, its sizes read from the weights."""
        (hidden, classes), (bits, semantic) = state["trunk.0.weight"].shape, state["code_head.weight"].shape
        with torch.device("meta"):
            net = PrototypeNetwork(classes, bits, hidden, semantic, self.reconstruct)
        net.load_state_dict(state, assign=True)
        return net.to(device).eval().requires_grad_(False)

    @abstractmethod
    def loss(self, prototypes: Prototypes, labels: Tensor, training_codes: Tensor, similar: Tensor) -> Tensor:
        """Return the scalar that a step minimizes.

        Args:
            prototypes: the net's outputs for `labels`.
            labels: float (B, C), multi-hot.
            training_codes: float (N, K) in {-1, +1}.
            similar: bool (B, N), whether they share a class.
        """


def quantization_loss(codes: Tensor) -> Tensor:
    """Return the mean over a batch of sum_k (sign c_k - c_k)^2, for codes (B, K) in (-1, 1)."""
    return (codes.sign() - codes).square().sum(dim=1).mean()


def _decay(step: int, steps: int) -> float:
    """Return 1, then 1/10 from half of the steps on, then 1/100 from three quarters on."""
    return 0.1 ** ((2 * step >= steps) + (4 * step >= 3 * steps))
