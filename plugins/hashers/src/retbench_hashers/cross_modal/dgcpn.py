"""DGCPN: codes that preserve which pairs of an image and a text have the same neighbors.

Yu, Zhou, Zhan and Tao 2021, "Deep Graph-neighbor Coherence Preserving Network for Unsupervised Cross-modal Hashing",
AAAI.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import mse_loss, normalize

from retbench import Context, Course, Facts, State, TrainingData, relax
from retbench_hashers.cross_modal.cross_modal_hasher import CrossModalHasher, CrossModalNetwork
from retbench_hashers.cross_modal.validation_split import ValidationSplit

TEXT_STD = 0.3
"""Standard deviation of the last text layer's first weights."""


class DGCPN(CrossModalHasher):
    """Two heads of one hidden layer whose codes' cosines follow the graph-neighbor coherence of the training pairs.

    The similarity of all training pairs is computed once, from features and texts alone (`graph_similarity`), and kept
    on the device: n^2 numbers for n training items. `CoherenceLoss` L pulls the codes of a batch towards it. With h the
    relaxed codes and b their signs, each batch takes two steps of each head:

        L(h_image, h_text) for both heads, then, from one fresh forward pass of both,
        L(h_image, b_text) for the image head and L(b_image, h_text) for the text head.

    `neighbors` is the number of neighbors that are kept, where the published code has the number that it drops. 0.4 of
    the training items are the published 2000 of 5000; the published scale of 4000 is twice that.

    Without `validation` the last epoch is kept and no label is read. In the published code the epoch is selected on
    labeled pairs: the best MAP of image against text plus text against image, over all of the trained pairs.
    """

    name: ClassVar[str] = "dgcpn"
    source: ClassVar[str] = "Yu et al. 2021; constants and schedule as in the code of DGCPN"
    uses_labels: ClassVar[bool] = False

    neighbors: Annotated[int, Field(ge=1, strict=True)] | Annotated[float, Field(gt=0, lt=1)] = Field(
        0.4, description="training items kept as neighbors of each, or a share of the training items"
    )
    scale: Annotated[float, Field(gt=0, le=1e6)] | Literal["auto"] = Field(
        "auto", description="factor of the coherence; auto is twice the number of neighbors"
    )
    text_weight: float = Field(0.01, ge=0, le=1, description="a1, share of the texts in the similarity of two pairs")
    coherence_weight: float = Field(0.3, ge=0, le=1, description="a2, share of the coherence in the similarity")
    pair_target: float = Field(1.5, ge=-10, le=10, description="K, cosine that the two codes of a pair are drawn to")
    pair_weight: float = Field(1.0, ge=0, le=1000, description="weight of the pairs' own cosines")
    similarity_weight: float = Field(1.0, ge=0, le=1000, description="weight of the distance to the similarity")
    consistency_weight: float = Field(1.0, ge=0, le=1000, description="weight of the modalities' agreement")
    hidden: int = Field(4096, ge=1, le=65_536, description="width of the hidden layer of either head")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of the hidden layer that a training step drops")
    epochs: int = Field(100, ge=1, le=10_000, description="passes over the training items, at most")
    batch_size: int = Field(32, ge=1, le=65_536, description="training items a step; the last batch takes what is left")
    learning_rate: float = Field(0.005, gt=0, le=1, description="learning rate of SGD")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(5e-4, ge=0, le=1, description="weight decay of SGD")
    validation: int = Field(
        0, ge=0, description="training items held out, whose labels select the epoch; 0 keeps the last one"
    )
    patience: int = Field(10, ge=1, le=10_000, description="epochs without a better validation after which it stops")

    def supports(self, facts: Facts) -> str | None:
        rows = facts.sizes["train"] - self.validation
        if self.validation and rows < 2:
            return f"it would hold out {self.validation} of {facts.sizes['train']} training items; lower validation"
        kept = self._kept(rows)
        if not 1 <= kept < rows:
            return (
                f"it would keep {kept} neighbors of {rows} training items, and needs 1 or more and fewer "
                "than there are items; change neighbors or validation"
            )
        return super().supports(facts)

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        inherited = super().caveats(facts)
        if not self.validation:
            return inherited
        return (*inherited, f"dgcpn chose its epoch by the labels of {self.validation} training items held out")

    def details(self, facts: Facts) -> Mapping[str, Any]:
        kept = self._kept(facts.sizes["train"] - self.validation)
        return {"neighbors": kept, "scale": self._scale(kept)}

    def image_head(self, width: int, bits: int) -> nn.Module:
        return self._head(width, bits)

    def text_head(self, width: int, bits: int) -> nn.Module:
        head = self._head(width, bits)
        nn.init.normal_(head.get_parameter("3.weight"), std=TEXT_STD)
        return head

    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Return the weights of backbone and heads; records the `loss` of each epoch, and its `validation` if any."""
        network = self.begin(data, ctx)
        run = _Run(self, network, ValidationSplit.draw(data, self.validation, ctx), ctx)
        while run.course.epoch < self.epochs and not run.stale:
            run.epoch()
        run.course.record()
        if self.validation:
            network.load_state_dict(run.best, strict=False)
        return network.state_dict()

    def similarity(self, images: Tensor, texts: Tensor) -> Tensor:
        """Return S, float32 (n, n), of training features (n, F) and texts (n, T)."""
        kept = self._kept(len(images))
        return graph_similarity(
            images,
            texts,
            neighbors=kept,
            scale=self._scale(kept),
            text_weight=self.text_weight,
            coherence_weight=self.coherence_weight,
        )

    def objective(self) -> CoherenceLoss:
        """Return the loss of a batch."""
        return CoherenceLoss(self.pair_target, self.pair_weight, self.similarity_weight, self.consistency_weight)

    def _head(self, width: int, bits: int) -> nn.Sequential:
        hidden = nn.Linear(width, self.hidden), nn.ReLU(), nn.Dropout(self.dropout)
        return nn.Sequential(*hidden, nn.Linear(self.hidden, bits))

    def _kept(self, rows: int) -> int:
        return self.neighbors if isinstance(self.neighbors, int) else round(self.neighbors * rows)

    def _scale(self, kept: int) -> float:
        return 2.0 * kept if self.scale == "auto" else self.scale


class _Run:
    """Heads, optimizer, training pairs and progress of a training above a frozen backbone."""

    def __init__(self, hasher: DGCPN, network: CrossModalNetwork, split: ValidationSplit, ctx: Context) -> None:
        self.hasher, self.network, self.split, self.ctx = hasher, network, split, ctx
        trained = split.trained.tolist()
        self.features, self.texts = split.data.features(trained), split.data.texts(trained)
        self.similarity = hasher.similarity(self.features, self.texts)
        self.objective = hasher.objective()
        self.heads = nn.ModuleDict({"image_head": network.image_head, "text_head": network.text_head})
        self.optimizer = torch.optim.SGD(
            self.heads.parameters(), hasher.learning_rate, momentum=hasher.momentum, weight_decay=hasher.weight_decay
        )
        self.best = {name: weights.clone() for name, weights in self.heads.state_dict().items()}
        tensors = self.best if hasher.validation else {}
        self.course = Course(ctx, {"heads": self.heads, "optimizer": self.optimizer}, tensors)

    @property
    def stale(self) -> bool:
        """Whether the validation has not improved for more than `patience` epochs."""
        scores = self.course.curves.get("validation", [])
        return bool(scores) and len(scores) - 1 - scores.index(max(scores)) > self.hasher.patience

    def epoch(self) -> None:
        """Take the steps of an epoch, then validate if rows are held out."""
        self.heads.train()
        batches = torch.split(self.course.shuffle(len(self.features)), self.hasher.batch_size)
        total = torch.zeros((), device=self.ctx.device)
        for rows in batches:
            total += self.step(rows.to(self.ctx.device)) * len(rows)
            self.course.advance(self.hasher.epochs * len(batches))
        losses = {"loss": float(total) / len(self.features)}
        if self.hasher.validation:
            losses["validation"] = self._validate()
        self.course.close_epoch(losses)

    def step(self, rows: Tensor) -> Tensor:
        """Take the three updates of a batch, and return the loss before them."""
        similarity = self.similarity[rows[:, None], rows]
        images, texts = self._codes(rows)
        loss = self.course.descend(self.optimizer, self.objective(images, texts, similarity))
        images, texts = self._codes(rows)
        # Binary codes have no gradient, so each of these steps moves one head: the optimizer skips weights without one.
        # Both losses are of one forward pass: the second takes the image codes from before the first one's step.
        self.course.descend(self.optimizer, self.objective(images, _binary(texts), similarity), "image loss")
        self.course.descend(self.optimizer, self.objective(_binary(images), texts, similarity), "text loss")
        return loss

    def _codes(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        with self.ctx.autocast():
            images, texts = self.network.from_features(self.features[rows]), self.network.text(self.texts[rows])
        return relax(images.float()), relax(texts.float())

    def _validate(self) -> float:
        """Return the score of the held-out pairs, and keep the weights if it is the best so far."""
        self.heads.eval()
        score = self.split.score(self.network, self.ctx)
        if score > max(self.course.curves.get("validation", [-1.0])):
            for name, weights in self.heads.state_dict().items():
                self.best[name].copy_(weights)
        return score


def _binary(codes: Tensor) -> Tensor:
    """Return the signs of relaxed codes, +1 for 0, without a gradient."""
    return torch.where(codes.detach() < 0, -1.0, 1.0)


class CoherenceLoss(NamedTuple):
    """A weighted sum of three losses of the codes' cosines, each cosine between two rows of a batch.

    With II, TT and IT the cosines (B, B) of image codes, of text codes, and of image with text codes, S the similarity
    of the batch and mse the mean over all entries:

        pair        = mse(diag IT, K)
        similarity  = sum of mse(M, S) over M = II, TT and IT, both without their diagonals (those entries count as 0)
        consistency = mse(IT, II) + mse(IT, TT) + mse(II, TT) + mse(IT, IT')

    K is above 1 on purpose: no cosine reaches it, so the gradient of a pair never vanishes.

    Attributes:
        pair_target: K.
        pair_weight: weight of `pair`.
        similarity_weight: weight of `similarity`.
        consistency_weight: weight of `consistency`.

    Source: Yu et al. 2021, Deep Graph-neighbor Coherence Preserving Network, AAAI; constants as in its code.
    """

    pair_target: float = 1.5
    pair_weight: float = 1.0
    similarity_weight: float = 1.0
    consistency_weight: float = 1.0

    def __call__(self, images: Tensor, texts: Tensor, similarity: Tensor) -> Tensor:
        """Return the scalar loss of a batch.

        Args:
            images: relaxed or binary codes float32 (B, K) of the images; a row of zeros has cosine 0 with all.
            texts: the same of their texts.
            similarity: float32 (B, B), the rows and columns of S that belong to the batch.
        """
        images, texts = normalize(images), normalize(texts)
        within_images, within_texts, across = images @ images.T, texts @ texts.T, images @ texts.T
        target = _off_diagonal(similarity)
        pair = (across.diagonal() - self.pair_target).square().mean()
        distance = mse_loss(_off_diagonal(within_images), target) + mse_loss(_off_diagonal(within_texts), target)
        distance = distance + mse_loss(_off_diagonal(across), target)
        consistency = mse_loss(across, within_images) + mse_loss(across, within_texts)
        consistency = consistency + mse_loss(within_images, within_texts) + mse_loss(across, across.T)
        return self.pair_weight * pair + self.similarity_weight * distance + self.consistency_weight * consistency


def _off_diagonal(square: Tensor) -> Tensor:
    """Return `square` (B, B) with zeros on its diagonal."""
    return square * (1 - torch.eye(len(square), device=square.device))


def graph_similarity(
    images: Tensor,
    texts: Tensor,
    *,
    neighbors: int,
    scale: float,
    text_weight: float = 0.01,
    coherence_weight: float = 0.3,
    block: int = 512,
) -> Tensor:
    """Return S, float32 (n, n): the similarity of any two training pairs, computed without labels.

    With cos the cosines of the features' rows, a1 the `text_weight` and a2 the `coherence_weight`:

        A = a1 cos(texts) + (1 - a1) cos(images)
        P = A with the k largest entries of each row off its diagonal, the others 0, each row divided by its sum
        C = scale * P P'
        S = 2 ((1 - a2) A + a2 C) - 1

    Two pairs that share all k neighbors in equal parts have C = scale / k, so a scale of 2 k keeps C at 2 or below
    where all weigh alike. S is at least -1 where no feature is negative, and has no upper bound.

    The published code drops the largest entry of a row in place of the diagonal, which is the same entry unless a row
    has duplicates. A row whose kept entries do not add up to more than 0 (no text and dead features) has no
    neighbors: its row of P is 0, where the published code divides by 0.

    Rows are processed `block` at a time. Memory holds the normalized features, two (n, n) matrices and at most five
    (block, n) ones: 0.88 GB and 0.11 GB for 10 500 rows.

    Args:
        images: float (n, F), features of the images; a row of zeros has cosine 0 with all.
        texts: float (n, T), in the same order.
        neighbors: k, at least 1 and below n. The published code takes n - k - 1, the number that it drops.
        scale: of the coherence; the published code has 4000 with 1999 neighbors.
        text_weight: a1, 0 to 1.
        coherence_weight: a2, 0 to 1.
        block: rows processed at once; it changes nothing but rounding.

    Raises:
        ValueError: as many neighbors as rows or more, another number of texts than of images,
            or features that are not finite.

    Source: Yu et al. 2021, Deep Graph-neighbor Coherence Preserving Network, AAAI; constants as in its code.
    """
    _check(images, texts, neighbors)
    images, texts = normalize(images.float()), normalize(texts.float())
    pairs = images.new_empty(len(images), len(images))
    shares = torch.empty_like(pairs)
    for rows in _blocks(len(pairs), block):
        pairs[rows] = _mixed(images[rows] @ images.T, texts[rows] @ texts.T, text_weight)
        shares[rows] = _neighbor_shares(pairs[rows], rows.start, neighbors)
    for rows in _blocks(len(pairs), block):
        coherence = shares[rows] @ shares.T
        _mixed(pairs[rows], coherence.mul_(scale), coherence_weight).mul_(2).sub_(1)
    return pairs


def _check(images: Tensor, texts: Tensor, neighbors: int) -> None:
    count = len(images)
    if len(texts) != count:
        raise ValueError(
            f"graph_similarity: wrong number of texts: got {len(texts)}, expected one for each of {count} images"
        )
    if not 1 <= neighbors < count:
        raise ValueError(
            f"graph_similarity: neighbors: got {neighbors}, expected 1 to {count - 1}, fewer than the {count} rows"
        )
    for name, rows in (("images", images), ("texts", texts)):
        wrong = int((~torch.isfinite(rows).all(dim=1)).sum())
        if wrong:
            raise ValueError(f"graph_similarity: {name}: got {wrong} rows that are not finite, expected none")


def _blocks(count: int, block: int) -> Iterator[slice]:
    for start in range(0, count, block):
        yield slice(start, min(start + block, count))


def _mixed(first: Tensor, second: Tensor, weight: float) -> Tensor:
    """Return (1 - weight) * first + weight * second, in the memory of `first`."""
    return first.mul_(1 - weight).add_(second, alpha=weight)


def _neighbor_shares(pairs: Tensor, start: int, neighbors: int) -> Tensor:
    """Return rows of P, float32 (B, n), from the rows of A that begin at `start`."""
    others = pairs.clone()
    own = torch.arange(len(pairs), device=pairs.device)
    others[own, start + own] = -torch.inf
    largest = others.topk(neighbors, dim=1)
    total = largest.values.sum(dim=1, keepdim=True)
    shares = largest.values / total.where(total > 0, torch.inf)
    return others.zero_().scatter_(1, largest.indices, shares)
