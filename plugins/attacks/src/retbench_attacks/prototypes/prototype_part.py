"""Training of a prototype network for the attacked hasher."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from retbench import AttackPart, Context, Course, Knowledge, Need, State
from retbench_attacks.prototypes.prototype_network import PrototypeNetwork, Prototypes
from retbench_attacks.prototypes.target_vectors import distinct_label_vectors, draw_targets

MAX_CURVE_POINTS = 300
"""Maximum number of losses in the recorded curve."""


class PrototypePart(AttackPart):
    """Learns a code per label vector: near the training codes that share a class with it, far from the others.

    Each step draws from the distinct label vectors of the database, uniformly. Adam's learning rate falls to a tenth
    after half of the steps and to a hundredth after three quarters. A subclass defines the loss.

    Every draw is keyed by its step, so an interrupted training resumes from its last checkpoint to the same weights.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"training", "training_codes", "database_labels"})
    reconstruct: ClassVar[bool]

    hidden: int = Field(4096, ge=1, le=65_536, description="units of the first layer")
    semantic: int = Field(512, ge=1, le=65_536, description="length of the semantic vector")
    steps: int = Field(30_000, ge=1, description="gradient steps")
    batch_size: int = Field(64, ge=1, le=65_536, description="label vectors per step")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate before the decay")

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        """Return the network's weights; the `loss` is recorded at up to MAX_CURVE_POINTS steps."""
        codes = knowledge.grant("training_codes").float()
        # Similarity is computed with the distinct label vectors, which are far fewer than the training images.
        training_labels, groups = torch.unique(knowledge.training.labels, dim=0, return_inverse=True)
        training_labels = training_labels.float().T
        vectors = distinct_label_vectors(knowledge.grant("database_labels"))
        sizes = (vectors.shape[1], codes.shape[1], self.hidden, self.semantic)
        network = PrototypeNetwork(*sizes, reconstruct=self.reconstruct).to(ctx.device)
        optimizer = torch.optim.Adam(network.parameters(), betas=(0.5, 0.999))
        course = Course(ctx, {"net": network, "optimizer": optimizer})
        for step in range(course.step, self.steps):
            optimizer.param_groups[0]["lr"] = self.learning_rate * _learning_rate_factor(step, self.steps)
            labels = draw_targets(vectors, self.batch_size, ctx.noise, step)
            loss = self.loss(network(labels), labels, codes, (labels @ training_labels > 0)[:, groups])
            value = course.descend(optimizer, loss)
            if step % math.ceil(self.steps / MAX_CURVE_POINTS) == 0:
                course.log("loss", float(value))
            course.advance(self.steps)
            course.save_if_due()
        course.record()
        state: State = network.state_dict()
        return state

    def module(self, state: State, device: torch.device) -> PrototypeNetwork:
        """Return the network; its layer sizes are read from the weights."""
        (hidden, classes), (bits, semantic) = state["trunk.0.weight"].shape, state["code_head.weight"].shape
        with torch.device("meta"):
            network = PrototypeNetwork(classes, bits, hidden, semantic, self.reconstruct)
        network.load_state_dict(state, assign=True)
        return network.to(device).eval().requires_grad_(False)

    @abstractmethod
    def loss(self, prototypes: Prototypes, labels: Tensor, training_codes: Tensor, similar: Tensor) -> Tensor:
        """Return the scalar training loss.

        Args:
            prototypes: outputs of the network for `labels`.
            labels: float (B, C), multi-hot.
            training_codes: float (N, K) in {-1, +1}.
            similar: bool (B, N), whether the label vector and the training image share a class.
        """


def label_loss(prototypes: Prototypes, labels: Tensor) -> Tensor:
    """Return the mean squared error of the predicted labels to labels (B, C).

    Raises:
        ValueError: the network has no label head.
    """
    if prototypes.labels is None:
        raise ValueError("label_loss: the prototype network predicts no labels; build it with reconstruct=True")
    return F.mse_loss(prototypes.labels, labels)


def quantization_loss(codes: Tensor) -> Tensor:
    """Return the mean over a batch of sum_k (sign c_k - c_k)^2, for codes c (B, K) in (-1, 1)."""
    return (codes.sign() - codes).square().sum(dim=1).mean()


def _learning_rate_factor(step: int, steps: int) -> float:
    """Return 1 before half of the steps, 1/10 from there on, and 1/100 from three quarters on."""
    return 0.1 ** ((2 * step >= steps) + (4 * step >= 3 * steps))
