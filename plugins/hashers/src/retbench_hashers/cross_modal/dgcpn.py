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
"""Standard deviation of the initial weights of the last text layer."""


class DGCPN(CrossModalHasher):
    """Two heads with one hidden layer, whose codes' cosines follow the graph-neighbor coherence of the training pairs.

    The similarity of all training pairs is computed once, from features and texts alone (`graph_similarity`), and kept
    on the device: n^2 numbers for n training items. `CoherenceLoss` L pulls the codes of a batch towards it. With h the
    relaxed codes and b their signs, each batch takes two steps of each head:

        L(h_image, h_text) for both heads, then, after a second forward pass of both,
        L(h_image, b_text) for the image head and L(b_image, h_text) for the text head.

    `neighbors` is the number of neighbors kept; the option of the published code is the number dropped. 0.4 of the
    training items are the published 2000 of 5000; the published scale of 4000 is twice that number.

    Without `validation` the last epoch is kept and no label is read. The published code selects the epoch on labeled
    pairs, by the MAP of image against text plus text against image over all training pairs.
    """

    name: ClassVar[str] = "dgcpn"
    source: ClassVar[str] = "Yu et al. 2021; constants and schedule as in the code of DGCPN"
    uses_labels: ClassVar[bool] = False

    neighbors: Annotated[int, Field(ge=1, strict=True)] | Annotated[float, Field(gt=0, lt=1)] = Field(
        0.4, description="number of neighbors of each training item, or a share of the training items"
    )
    scale: Annotated[float, Field(gt=0, le=1e6)] | Literal["auto"] = Field(
        "auto", description="factor of the coherence; auto is twice the number of neighbors"
    )
    text_weight: float = Field(0.01, ge=0, le=1, description="a1, share of the texts in the similarity")
    coherence_weight: float = Field(0.3, ge=0, le=1, description="a2, share of the coherence in the similarity")
    pair_target: float = Field(1.5, ge=-10, le=10, description="K, target cosine of the two codes of a pair")
    pair_weight: float = Field(1.0, ge=0, le=1000, description="weight of the loss of each pair's cosine")
    similarity_weight: float = Field(1.0, ge=0, le=1000, description="weight of the loss of the similarity")
    consistency_weight: float = Field(
        1.0, ge=0, le=1000, description="weight of the loss of consistency between modalities"
    )
    hidden: int = Field(4096, ge=1, le=65_536, description="width of the hidden layer of either head")
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout rate of the hidden layer")
    epochs: int = Field(100, ge=1, le=10_000, description="maximum number of passes over the training items")
    batch_size: int = Field(
        32, ge=1, le=65_536, description="training items per step; the last batch of an epoch may be smaller"
    )
    learning_rate: float = Field(0.005, gt=0, le=1, description="learning rate of SGD")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(5e-4, ge=0, le=1, description="weight decay of SGD")
    validation: int = Field(
        0, ge=0, description="number of held-out training items whose labels select the epoch; 0 keeps the last epoch"
    )
    patience: int = Field(
        10, ge=1, le=10_000, description="number of epochs without a better validation score before training stops"
    )

    def supports(self, facts: Facts) -> str | None:
        rows = facts.sizes["train"] - self.validation
        if self.validation and rows < 2:
            training = facts.sizes["train"]
            return f"too many validation items: got {self.validation} of {training} training items; lower validation"
        kept = self._neighbor_count(rows)
        if not 1 <= kept < rows:
            return (
                f"wrong number of neighbors: got {kept}, expected at least 1 and fewer than the {rows} training items; "
                "change neighbors or validation"
            )
        return super().supports(facts)

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        inherited = super().caveats(facts)
        if not self.validation:
            return inherited
        return (*inherited, f"dgcpn selected its epoch by the labels of {self.validation} held-out training items")

    def details(self, facts: Facts) -> Mapping[str, Any]:
        kept = self._neighbor_count(facts.sizes["train"] - self.validation)
        return {"neighbors": kept, "scale": self._scale(kept)}

    def image_head(self, width: int, bits: int) -> nn.Module:
        return self._head(width, bits)

    def text_head(self, width: int, bits: int) -> nn.Module:
        head = self._head(width, bits)
        nn.init.normal_(head.get_parameter("3.weight"), std=TEXT_STD)
        return head

    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Return the weights of backbone and heads; record the `loss` and, if any, the `validation` of each epoch."""
        network = self.initial_network(data, ctx)
        run = _TrainingRun(self, network, ValidationSplit.draw(data, self.validation, ctx), ctx)
        while run.course.epoch < self.epochs and not run.out_of_patience:
            run.run_epoch()
        run.course.record()
        if self.validation:
            run.heads.load_state_dict(run.best)
        return network.state_dict()

    def similarity(self, images: Tensor, texts: Tensor) -> Tensor:
        """Return the similarity S, float32 (n, n), of training features (n, F) and texts (n, T)."""
        kept = self._neighbor_count(len(images))
        return graph_similarity(
            images,
            texts,
            neighbors=kept,
            scale=self._scale(kept),
            text_weight=self.text_weight,
            coherence_weight=self.coherence_weight,
        )

    def objective(self) -> CoherenceLoss:
        """Return the loss function of a batch."""
        return CoherenceLoss(self.pair_target, self.pair_weight, self.similarity_weight, self.consistency_weight)

    def _head(self, width: int, bits: int) -> nn.Sequential:
        hidden = nn.Linear(width, self.hidden), nn.ReLU(), nn.Dropout(self.dropout)
        return nn.Sequential(*hidden, nn.Linear(self.hidden, bits))

    def _neighbor_count(self, rows: int) -> int:
        return self.neighbors if isinstance(self.neighbors, int) else round(self.neighbors * rows)

    def _scale(self, kept: int) -> float:
        return 2.0 * kept if self.scale == "auto" else self.scale


class _TrainingRun:
    """State of a training on a frozen backbone: heads, optimizer, training pairs and progress."""

    def __init__(self, hasher: DGCPN, network: CrossModalNetwork, split: ValidationSplit, ctx: Context) -> None:
        self.hasher, self.network, self.split, self.ctx = hasher, network, split, ctx
        rows = split.training_rows.tolist()
        self.features, self.texts = split.data.features(rows), split.data.texts(rows)
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
    def out_of_patience(self) -> bool:
        """Whether the validation score has not improved for more than `patience` epochs."""
        scores = self.course.curves.get("validation", [])
        return bool(scores) and len(scores) - 1 - scores.index(max(scores)) > self.hasher.patience

    def run_epoch(self) -> None:
        """Take the steps of an epoch, then validate if there are validation queries."""
        self.heads.train()
        batches = torch.split(self.course.shuffle(len(self.features)), self.hasher.batch_size)
        total = torch.zeros((), device=self.ctx.device)
        for rows in batches:
            total += self.take_step(rows.to(self.ctx.device)) * len(rows)
            self.course.advance(self.hasher.epochs * len(batches))
        losses = {"loss": float(total) / len(self.features)}
        if self.hasher.validation:
            losses["validation"] = self._validate()
        self.course.close_epoch(losses)

    def take_step(self, rows: Tensor) -> Tensor:
        """Take the three optimizer steps of a batch, and return the loss before them."""
        similarity = self.similarity[rows[:, None], rows]
        images, texts = self._relaxed_codes(rows)
        loss = self.course.descend(self.optimizer, self.objective(images, texts, similarity))
        images, texts = self._relaxed_codes(rows)
        # Binary codes have no gradient, and the optimizer skips weights without one: each step changes one head.
        # Both losses use one forward pass, so the second has the image codes from before the first step.
        self.course.descend(self.optimizer, self.objective(images, _binarize(texts), similarity), "image loss")
        self.course.descend(self.optimizer, self.objective(_binarize(images), texts, similarity), "text loss")
        return loss

    def _relaxed_codes(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        with self.ctx.autocast():
            images, texts = self.network.from_features(self.features[rows]), self.network.text(self.texts[rows])
        return relax(images.float()), relax(texts.float())

    def _validate(self) -> float:
        """Return the validation score, and keep a copy of the weights if it is the best so far."""
        self.heads.eval()
        score = self.split.score(self.network, self.ctx)
        if score > max(self.course.curves.get("validation", [-1.0])):
            for name, weights in self.heads.state_dict().items():
                self.best[name].copy_(weights)
        return score


def _binarize(codes: Tensor) -> Tensor:
    """Return the signs of relaxed codes, +1 for 0, without a gradient."""
    return torch.where(codes.detach() < 0, -1.0, 1.0)


class CoherenceLoss(NamedTuple):
    """Weighted sum of three losses on the cosines of the codes of a batch.

    With II, TT and IT the cosines (B, B) of image codes, of text codes, and of image with text codes, S the similarity
    of the batch and mse the mean over all entries:

        pair        = mse(diag IT, K)
        similarity  = sum of mse(M, S) over M = II, TT and IT, both without their diagonals (those entries count as 0)
        consistency = mse(IT, II) + mse(IT, TT) + mse(II, TT) + mse(IT, IT')

    The default K is above 1: no cosine reaches it, so the gradient of a pair never vanishes.

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
            images: relaxed or binary codes of the images, float32 (B, K); a row of zeros has cosine 0 with all rows.
            texts: codes of their texts, float32 (B, K).
            similarity: float32 (B, B), the rows and columns of S of the batch.
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
    """Return the similarity S of all training pairs, float32 (n, n), computed without labels.

    With cos the cosines of all rows, a1 the `text_weight` and a2 the `coherence_weight`:

        A = a1 cos(texts) + (1 - a1) cos(images)
        P = the k largest off-diagonal entries of each row of A, the others 0, each row divided by its sum
        C = scale * P P'
        S = 2 ((1 - a2) A + a2 C) - 1

    Two pairs that share all k neighbors with equal weights have C = scale / k, so with a scale of 2 k, C is at most 2
    if all weights are equal. S is at least -1 if no feature is negative, and has no upper bound.

    The published code drops the largest entry of a row instead of the diagonal one, which is the same entry unless a
    row has duplicates. A row whose kept entries do not have a positive sum (no text and no active feature) has no
    neighbors: its row of P is 0; the published code divides by 0 there.

    Rows are processed in blocks. Memory holds the normalized features, two (n, n) matrices and at most five (block, n)
    matrices: 0.88 GB and 0.11 GB for 10 500 rows.

    Args:
        images: features of the images, float (n, F); a row of zeros has cosine 0 with all rows.
        texts: their texts, float (n, T).
        neighbors: k, at least 1 and below n. The published code has n - k - 1 instead, the number dropped.
        scale: factor of the coherence; 4000 with 1999 neighbors in the published code.
        text_weight: a1, 0 to 1.
        coherence_weight: a2, 0 to 1.
        block: number of rows processed at once; it affects rounding only.

    Raises:
        ValueError: the number of neighbors is out of range, images and texts differ in number, or features are not
            finite.

    Source: Yu et al. 2021, Deep Graph-neighbor Coherence Preserving Network, AAAI; constants as in its code.
    """
    _check_inputs(images, texts, neighbors)
    images, texts = normalize(images.float()), normalize(texts.float())
    similarity = images.new_empty(len(images), len(images))
    neighbor_shares = torch.empty_like(similarity)
    for rows in _blocks(len(similarity), block):
        similarity[rows] = _blend(images[rows] @ images.T, texts[rows] @ texts.T, text_weight)
        neighbor_shares[rows] = _neighbor_shares(similarity[rows], rows.start, neighbors)
    for rows in _blocks(len(similarity), block):
        coherence = neighbor_shares[rows] @ neighbor_shares.T
        _blend(similarity[rows], coherence.mul_(scale), coherence_weight).mul_(2).sub_(1)
    return similarity


def _check_inputs(images: Tensor, texts: Tensor, neighbors: int) -> None:
    count = len(images)
    if len(texts) != count:
        raise ValueError(f"graph_similarity: wrong number of texts: got {len(texts)}, expected {count}, one per image")
    if not 1 <= neighbors < count:
        raise ValueError(
            f"graph_similarity: wrong number of neighbors: got {neighbors}, expected 1 to {count - 1} with {count} rows"
        )
    for name, rows in (("images", images), ("texts", texts)):
        wrong = int((~torch.isfinite(rows).all(dim=1)).sum())
        if wrong:
            raise ValueError(f"graph_similarity: {name} not finite: got {wrong} such rows, expected none")


def _blocks(count: int, block: int) -> Iterator[slice]:
    for start in range(0, count, block):
        yield slice(start, min(start + block, count))


def _blend(first: Tensor, second: Tensor, weight: float) -> Tensor:
    """Compute (1 - weight) * first + weight * second in place of `first`, and return it."""
    return first.mul_(1 - weight).add_(second, alpha=weight)


def _neighbor_shares(similarity: Tensor, start: int, neighbors: int) -> Tensor:
    """Return the rows of P, float32 (B, n), for the rows of A from `start` on."""
    others = similarity.clone()
    rows = torch.arange(len(similarity), device=similarity.device)
    others[rows, start + rows] = -torch.inf
    largest = others.topk(neighbors, dim=1)
    total = largest.values.sum(dim=1, keepdim=True)
    shares = largest.values / total.where(total > 0, torch.inf)
    return others.zero_().scatter_(1, largest.indices, shares)
