"""DGCPN: codes that keep which pairs of an image and a text have the same neighbours.

Yu, Zhou, Zhan and Tao 2021, "Deep Graph-neighbor Coherence Preserving Network for Unsupervised Cross-modal Hashing",
AAAI.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD

from retbench import Context, Facts, State, TrainingData, relax
from retbench_hashers.course import Course, Stateful
from retbench_hashers.cross_modal import CrossModalHasher
from retbench_hashers.cross_modal_network import CrossModalNetwork
from retbench_hashers.dgcpn_loss import CoherenceLoss
from retbench_hashers.dgcpn_similarity import graph_similarity
from retbench_hashers.held_out import HeldOut

TEXT_STD = 0.3
"""Standard deviation of the last text layer's first weights."""


class DGCPN(CrossModalHasher):
    """Two heads of one hidden layer whose codes' cosines follow the graph-neighbour coherence of the training pairs.

    The similarity of all training pairs is computed once, from features and texts alone (`graph_similarity`), and kept
    on the device: n^2 numbers for n training items. `CoherenceLoss` L pulls the codes of a batch towards it. With h the
    relaxed codes and b their signs, each batch takes two steps of each head:

        L(h_image, h_text) for both heads, then, from one fresh forward pass of both,
        L(h_image, b_text) for the image head and L(b_image, h_text) for the text head.

    The published code names the number of neighbours by how many it drops; here it is how many are kept. 0.4 of the
    training items are the published 2000 of 5000, and 4000 is twice that.

    Without `validation` the last epoch is kept and no label is looked at. As published, the epoch is chosen on
    labelled pairs: the best MAP of image against text plus text against image, over all of the trained pairs.
    """

    name: ClassVar[str] = "dgcpn"
    source: ClassVar[str] = "Yu et al. 2021; constants and schedule as in the code of DGCPN"
    supervised: ClassVar[bool] = False

    neighbours: Annotated[int, Field(ge=1, strict=True)] | Annotated[float, Field(gt=0, lt=1)] = Field(
        0.4, description="training items kept as neighbours of each, or a share of the training items"
    )
    scale: Annotated[float, Field(gt=0, le=1e6)] | Literal["auto"] = Field(
        "auto", description="factor of the coherence; auto is twice the neighbours"
    )
    text_weight: float = Field(0.01, ge=0, le=1, description="a1, share of the texts in the similarity of two pairs")
    coherence_weight: float = Field(0.3, ge=0, le=1, description="a2, share of the coherence in the similarity")
    pair_target: float = Field(1.5, ge=-10, le=10, description="K, cosine that the two codes of a pair are drawn to")
    pair_weight: float = Field(1.0, ge=0, le=1000, description="weight of the pairs' own cosines")
    similarity_weight: float = Field(1.0, ge=0, le=1000, description="weight of following the similarity")
    consistency_weight: float = Field(1.0, ge=0, le=1000, description="weight of the modalities' agreement")
    hidden: int = Field(4096, ge=1, le=65_536, description="width of the hidden layer of either head")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of the hidden layer that a training step drops")
    epochs: int = Field(100, ge=1, le=10_000, description="passes over the training items, at most")
    batch: int = Field(32, ge=1, le=65_536, description="training items a step; the last batch takes what is left")
    rate: float = Field(0.005, gt=0, le=1, description="learning rate of SGD")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    decay: float = Field(5e-4, ge=0, le=1, description="weight decay of SGD")
    validation: int = Field(
        0, ge=0, description="training items held out, whose labels choose the epoch; 0 keeps the last one"
    )
    patience: int = Field(10, ge=1, le=10_000, description="epochs without a better validation after which it stops")

    def supports(self, facts: Facts) -> str | None:
        rows = facts.sizes["train"] - self.validation
        if self.validation and rows < 2:
            return f"it would hold out {self.validation} of {facts.sizes['train']} training items; lower validation"
        kept = self._kept(rows)
        if not 1 <= kept < rows:
            return (
                f"it would keep {kept} neighbours of {rows} training items, and needs 1 or more and fewer "
                "than there are items; change neighbours or validation"
            )
        return super().supports(facts)

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        inherited = super().caveats(facts)
        if not self.validation:
            return inherited
        return (*inherited, f"dgcpn chose its epoch by the labels of {self.validation} training items held out")

    def details(self, facts: Facts) -> Mapping[str, Any]:
        kept = self._kept(facts.sizes["train"] - self.validation)
        return {"neighbours": kept, "scale": self._scale(kept)}

    def image_head(self, width: int, bits: int) -> nn.Module:
        return self._head(width, bits)

    def text_head(self, width: int, bits: int) -> nn.Module:
        head = self._head(width, bits)
        nn.init.normal_(head.get_parameter("3.weight"), std=TEXT_STD)
        return head

    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Returns the weights of backbone and heads; records the `loss` of each epoch, and its `validation` if any."""
        network = self.begin(data, ctx)
        run = _Run(self, network, HeldOut.draw(data, self.validation, ctx), ctx)
        while run.course.epochs < self.epochs and not run.stale:
            run.epoch()
        run.course.record()
        if self.validation:
            network.load_state_dict(run.best, strict=False)
        return network.state_dict()

    def similarity(self, images: Tensor, texts: Tensor) -> Tensor:
        """Returns S, float32 (n, n), of training features (n, F) and texts (n, T)."""
        kept = self._kept(len(images))
        return graph_similarity(
            images,
            texts,
            neighbours=kept,
            scale=self._scale(kept),
            text_weight=self.text_weight,
            coherence_weight=self.coherence_weight,
        )

    def objective(self) -> CoherenceLoss:
        """Returns the loss of a batch."""
        return CoherenceLoss(self.pair_target, self.pair_weight, self.similarity_weight, self.consistency_weight)

    def _head(self, width: int, bits: int) -> nn.Sequential:
        hidden = nn.Linear(width, self.hidden), nn.ReLU(), nn.Dropout(self.dropout)
        return nn.Sequential(*hidden, nn.Linear(self.hidden, bits))

    def _kept(self, rows: int) -> int:
        return self.neighbours if isinstance(self.neighbours, int) else round(self.neighbours * rows)

    def _scale(self, kept: int) -> float:
        return 2.0 * kept if self.scale == "auto" else self.scale


class _Run:
    """What moves while the heads are trained, above features that do not."""

    def __init__(self, hasher: DGCPN, network: CrossModalNetwork, rows: HeldOut, ctx: Context) -> None:
        self.hasher, self.network, self.rows, self.ctx = hasher, network, rows, ctx
        trained = rows.trained.tolist()
        self.features, self.texts = rows.data.features(trained), rows.data.texts(trained)
        self.similarity = hasher.similarity(self.features, self.texts)
        self.objective = hasher.objective()
        self.heads = nn.ModuleDict({"image_head": network.image_head, "text_head": network.text_head})
        self.of_images, self.of_texts = (
            SGD(head.parameters(), hasher.rate, momentum=hasher.momentum, weight_decay=hasher.decay)
            for head in self.heads.values()
        )
        self.best = {name: weights.clone() for name, weights in self.heads.state_dict().items()}
        moving: dict[str, Stateful] = {"heads": self.heads, "of_images": self.of_images, "of_texts": self.of_texts}
        self.course = Course(ctx, moving, self.best if hasher.validation else {})

    @property
    def stale(self) -> bool:
        """Whether the validation has not become better for longer than one waits."""
        scores = self.course.curves.get("validation", [])
        return bool(scores) and len(scores) - 1 - scores.index(max(scores)) > self.hasher.patience

    def epoch(self) -> None:
        self.heads.train()
        batches = torch.split(self.course.order(len(self.features)), self.hasher.batch)
        total = torch.zeros((), device=self.ctx.device)
        for index, rows in enumerate(batches, start=self.course.epochs * len(batches) + 1):
            total += self.step(rows.to(self.ctx.device)) * len(rows)
            self.ctx.progress(index, self.hasher.epochs * len(batches))
        losses = {"loss": float(total) / len(self.features)}
        if self.hasher.validation:
            losses["validation"] = self._validate()
        self.course.close_epoch(losses, rate=self.hasher.rate)

    def step(self, rows: Tensor) -> Tensor:
        """Takes the three updates of a batch; returns the loss before them."""
        similarity = self.similarity[rows[:, None], rows]
        images, texts = self._codes(rows)
        loss = self.objective(images, texts, similarity)
        _descend(loss, self.of_images, self.of_texts)
        images, texts = self._codes(rows)
        _descend(self.objective(images, _binary(texts), similarity), self.of_images)
        # The image codes of before their step: both binary losses are of one forward pass.
        _descend(self.objective(_binary(images), texts, similarity), self.of_texts)
        return loss.detach()

    def _codes(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        with self.ctx.autocast():
            images, texts = self.network.from_features(self.features[rows]), self.network.text(self.texts[rows])
        return relax(images.float()), relax(texts.float())

    def _validate(self) -> float:
        """Returns the score of the held-out pairs, and keeps the weights if it is the best so far."""
        self.heads.eval()
        score = self.rows.score(self.network, self.ctx)
        if score > max(self.course.curves.get("validation", [-1.0])):
            for name, weights in self.heads.state_dict().items():
                self.best[name].copy_(weights)
        return score


def _descend(loss: Tensor, *optimisers: SGD) -> None:
    """Takes one step of each optimiser down the loss."""
    for optimiser in optimisers:
        optimiser.zero_grad()
    torch.autograd.backward(loss)
    for optimiser in optimisers:
        optimiser.step()


def _binary(codes: Tensor) -> Tensor:
    """Returns the signs of relaxed codes, +1 for 0, without a gradient."""
    return torch.where(codes.detach() < 0, -1.0, 1.0)
