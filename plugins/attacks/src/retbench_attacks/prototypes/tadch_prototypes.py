"""The prototype net of TA-DCH: from a target's labels and text to semantics and a code.

Wang, Zhu, Zhang, Zhang and Han 2023, "Targeted Adversarial Attack against Deep Cross-modal Hashing Retrieval", IEEE
Transactions on Circuits and Systems for Video Technology.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from retbench import AttackPart, Context, Knowledge, Need, State, UserError
from retbench_attacks.prototypes.prosgan_prototypes import likelihood_loss
from retbench_attacks.prototypes.prototype_net import Prototypes
from retbench_attacks.prototypes.prototype_part import quantisation_loss
from retbench_attacks.prototypes.tadch_fusion import FusionNet


class TadchPrototypes(AttackPart):
    """Learns codes that are near the codes of training images which share a class with a label vector.

    It passes over the labels and texts of the training split, and minimises, with h the code of a batch's rows,

        class_weight |y' - y|^2 + similarity J(h, B) + quantisation |sign h - h|^2

    y' the labels read back (a mean over elements), J the likelihood of the pairs' similarity with the training codes B
    (a mean over pairs), and the last term a sum over bits. Adam's rate falls to a tenth after half of the steps and to
    a hundredth after three quarters.

    A last batch of a single row joins the one before it: its statistics would be of one value. Every draw is keyed by
    its epoch, so a training that was killed resumes from its last epoch to the same weights.
    """

    name: ClassVar[str] = "tadch-prototypes"
    source: ClassVar[str] = "Wang et al. 2023, prototype learning; weights as in RetPur, appendix E, and the code"
    needs: ClassVar[frozenset[Need]] = frozenset({"training", "training_codes"})

    hidden: int = Field(4096, ge=1, le=65_536, description="units of the first layer of each branch")
    width: int = Field(64, ge=16, le=1024, multiple_of=16, description="channels of the map of semantics")
    class_weight: float = Field(1.0, ge=0, description="weight of the labels read back (alpha)")
    similarity: float = Field(5.0, ge=0, description="weight of the pairs' likelihood (beta)")
    quantisation: float = Field(1e-3, ge=0, description="weight of the distance to the signs")
    epochs: int = Field(20, ge=1, le=100_000, description="passes over the training split: 20 RetPur, 50 code")
    batch: int = Field(64, ge=2, le=65_536, description="training rows of one step")
    lr: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate, before it falls")
    milestones: Literal["exact", "published"] = Field(
        "exact", description="when the rate falls; the published code skips a fall between two steps (a half-integer)"
    )

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        """Returns the net's weights; records the mean `loss` of each epoch.

        Raises:
            UserError: a training split of fewer than two rows.
        """
        run = _Run(self, knowledge, ctx)
        for epoch in range(len(run.losses), self.epochs):
            run.train_epoch(epoch)
        ctx.record("loss", run.losses)
        return run.net.state_dict()

    def module(self, state: State, device: torch.device) -> FusionNet:
        """Returns the net, its sizes read from the weights."""
        (hidden, classes), texts = state["labels.0.weight"].shape, state["texts.0.weight"].shape[1]
        bits, width = state["code_head.weight"].shape[0], state["labels.7.weight"].shape[0]
        with torch.device("meta"):
            net = FusionNet(classes, texts, bits, hidden, width)
        net.load_state_dict(state, assign=True)
        return net.to(device).eval().requires_grad_(False)

    def loss(self, prototypes: Prototypes, labels: Tensor, training_codes: Tensor, similar: Tensor) -> Tensor:
        """Returns the scalar that a step makes small.

        Args:
            prototypes: what the net says of `labels` and the texts that come with them.
            labels: float (B, C), multi-hot.
            training_codes: float (N, K) in {-1, +1}.
            similar: bool (B, N), whether they share a class.
        """
        total = self.class_weight * F.mse_loss(prototypes.labels, labels)
        total = total + self.similarity * likelihood_loss(prototypes.codes, training_codes, similar)
        return total + self.quantisation * quantisation_loss(prototypes.codes)

    def rate(self, step: int, steps: int) -> float:
        """Returns the learning rate of a step (from 0) of so many: a tenth from 1/2 of them, a hundredth from 3/4."""
        passed = [quarters for quarters in (2, 3) if 4 * step >= quarters * steps]
        if self.milestones == "published":
            passed = [quarters for quarters in passed if quarters * steps % 4 == 0]
        return self.lr * 0.1 ** len(passed)


class _Run:
    """What moves while a prototype net is trained, and its checkpoint."""

    def __init__(self, options: TadchPrototypes, knowledge: Knowledge, ctx: Context) -> None:
        facts = knowledge.facts
        self.options, self.training, self.ctx = options, knowledge.training, ctx
        self.codes, self.labels = knowledge.grant("training_codes").float(), knowledge.training.labels.float()
        sizes = (len(facts.classes), facts.text_width, self.codes.shape[1], options.hidden, options.width)
        self.net = FusionNet(*sizes).to(ctx.device)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=options.lr, betas=(0.5, 0.999))
        self.losses: list[float] = []
        self._load()

    def train_epoch(self, epoch: int) -> None:
        """Takes one pass over the training split in an order of its own, and saves where it stands."""
        order = self.ctx.noise.uniform("order", (len(self.training),), epoch)[0].argsort(stable=True)
        batches = split_rows(order, self.options.batch)
        steps, losses = self.options.epochs * len(batches), []
        for step, rows in enumerate(batches, start=epoch * len(batches)):
            losses.append(self._descend(rows, self.options.rate(step, steps)))
            self.ctx.progress(step + 1, steps)
        self.losses.append(float(torch.stack(losses).mean()))
        moving = {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict()}
        self.ctx.save_checkpoint("prototypes", {"losses": self.losses, **moving})

    def _descend(self, rows: Tensor, lr: float) -> Tensor:
        """Takes a step on the rows of a batch; returns its loss."""
        labels, texts = self.labels[rows], self.training.texts(rows.tolist())
        loss = self.options.loss(self.net(labels, texts), labels, self.codes, labels @ self.labels.T > 0)
        self.optimiser.param_groups[0]["lr"] = lr
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()
        return loss.detach()

    def _load(self) -> None:
        saved = self.ctx.load_checkpoint("prototypes")
        if saved is not None:
            self.net.load_state_dict(saved["net"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.losses = saved["losses"]


def split_rows(order: Tensor, batch: int) -> list[Tensor]:
    """Returns int64 rows (N,) in batches of at least two: a last one of a single row joins the one before it.

    Raises:
        UserError: fewer than two rows, of which batch normalisation has no statistics.
    """
    if len(order) < 2:
        raise UserError(f"tadch-prototypes: too few training rows: got {len(order)}, expected at least 2")
    batches = list(order.split(batch))
    if len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
