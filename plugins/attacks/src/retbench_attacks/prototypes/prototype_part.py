"""How a prototype net is trained against the attacked hasher."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from retbench import AttackPart, Context, Knowledge, Need, State
from retbench_attacks.prototypes.prototype_net import PrototypeNet, Prototypes
from retbench_attacks.prototypes.target_vectors import distinct_vectors, draw_vectors

POINTS = 300
"""At most this many losses are kept as a curve."""

CHECKPOINT_EVERY = 1000
"""Steps that a kill costs at most."""


class PrototypePart(AttackPart):
    """Learns codes that are near the training codes which share a class with a label vector, and far from the others.

    A step draws label vectors of the database, each distinct one as likely; Adam's rate falls to a tenth after half of
    the steps and to a hundredth after three quarters. A subclass says what is minimised.

    Every draw is keyed by its step, so a training that was killed resumes from its last checkpoint to the same weights.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"training", "training_codes", "database_labels"})
    reconstruct: ClassVar[bool]

    hidden: int = Field(4096, ge=1, le=65_536, description="units of the first layer")
    semantic: int = Field(512, ge=1, le=65_536, description="length of the semantic representation")
    steps: int = Field(30_000, ge=1, description="gradient steps")
    batch: int = Field(64, ge=1, le=65_536, description="label vectors of one step")
    lr: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate, before it falls")

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        """Returns the net's weights; records the `loss` of some steps."""
        codes = knowledge.grant("training_codes").float()
        # Similarity is found among the distinct vectors: there are far fewer of them than training images.
        carried, groups = torch.unique(knowledge.training.labels, dim=0, return_inverse=True)
        carried = carried.float().T
        vectors = distinct_vectors(knowledge.grant("database_labels"))
        sizes = (vectors.shape[1], codes.shape[1], self.hidden, self.semantic)
        run = _Run(PrototypeNet(*sizes, reconstruct=self.reconstruct).to(ctx.device), ctx)
        for step in range(run.step, self.steps):
            labels = draw_vectors(vectors, self.batch, ctx.noise, step)
            loss = self.loss(run.net(labels), labels, codes, (labels @ carried > 0)[:, groups])
            if step % math.ceil(self.steps / POINTS) == 0:
                run.losses.append(loss.item())
            run.descend(loss, self.lr * _decay(step, self.steps))
            ctx.progress(step + 1, self.steps)
        ctx.record("loss", run.losses)
        return run.net.state_dict()

    def module(self, state: State, device: torch.device) -> PrototypeNet:
        """Returns the net, its sizes read from the weights."""
        (hidden, classes), (bits, semantic) = state["trunk.0.weight"].shape, state["code_head.weight"].shape
        with torch.device("meta"):
            net = PrototypeNet(classes, bits, hidden, semantic, self.reconstruct)
        net.load_state_dict(state, assign=True)
        return net.to(device).eval().requires_grad_(False)

    @abstractmethod
    def loss(self, prototypes: Prototypes, labels: Tensor, training_codes: Tensor, similar: Tensor) -> Tensor:
        """Returns the scalar that a step makes small.

        Args:
            prototypes: what the net says of `labels`.
            labels: float (B, C), multi-hot.
            training_codes: float (N, K) in {-1, +1}.
            similar: bool (B, N), whether they share a class.
        """


class _Run:
    """What moves while a prototype net is trained, and its checkpoint."""

    def __init__(self, net: PrototypeNet, ctx: Context) -> None:
        self.net, self.ctx = net, ctx
        self.optimiser = torch.optim.Adam(net.parameters(), betas=(0.5, 0.999))
        self.step, self.losses = 0, list[float]()
        saved = ctx.load_checkpoint("prototypes")
        if saved is not None:
            self.net.load_state_dict(saved["net"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.step, self.losses = saved["step"], saved["losses"]

    def descend(self, loss: Tensor, lr: float) -> None:
        """Takes a step at a learning rate, and every so often saves where it stands."""
        self.optimiser.param_groups[0]["lr"] = lr
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()
        self.step += 1
        if self.step % CHECKPOINT_EVERY == 0:
            moving = {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict()}
            self.ctx.save_checkpoint("prototypes", {"step": self.step, "losses": self.losses, **moving})


def quantisation_loss(codes: Tensor) -> Tensor:
    """Returns the mean over a batch of sum_k (sign c_k - c_k)^2, for codes (B, K) in (-1, 1)."""
    return (codes.sign() - codes).square().sum(dim=1).mean()


def _decay(step: int, steps: int) -> float:
    """Returns 1, then 1/10 from half of the steps on, then 1/100 from three quarters on."""
    return 0.1 ** ((2 * step >= steps) + (4 * step >= 3 * steps))
