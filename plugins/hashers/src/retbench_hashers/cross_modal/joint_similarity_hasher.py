"""Options and training of DJSRH and JDSH, whose codes follow a similarity computed within the batch."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from retbench import Context, Course, State, TrainingData, relax
from retbench_hashers.cross_modal.cross_modal_hasher import CrossModalHasher, CrossModalNetwork


class ImageBatch(NamedTuple):
    """Features and logits of the images of a batch.

    Attributes:
        features: float (B, F), of the backbone before training; input of the similarity.
        logits: float (B, K), of the trained network, with a gradient.
    """

    features: Tensor
    logits: Tensor


ImageReader = Callable[[Tensor], ImageBatch]
"""Function from training rows, int64 (B,) on the CPU, to the features and logits of their images."""


class JointSimilarityHasher(CrossModalHasher):
    """Heads whose codes are as similar, within and across modalities, as the features and texts of their items.

    The similarity is computed within a batch, so the batch size changes the loss. In training, codes are relaxed by
    tanh(alpha h) with alpha = sqrt(epoch + 1), epochs counted from 0; elsewhere the core relaxes by tanh(h). As
    published, an epoch leaves out the shuffled rows that do not fill a last batch; a split smaller than a batch is one
    batch. Texts are neither centered nor scaled.

    A row of zeros (an empty text) has cosine 0 with all rows, also with itself, and thus a similarity of -1.

    The published code augments training images (crops and flips); there is no augmentation here.
    """

    uses_labels: ClassVar[bool] = False

    hidden: int = Field(4096, ge=1, le=65_536, description="units of the hidden layer of the text head")
    epochs: int = Field(80, ge=1, le=10_000, description="passes over the training split")
    batch_size: int = Field(
        32, ge=2, le=65_536, description="pairs per step; rows that do not fill a batch are left out"
    )
    image_learning_rate: float = Field(
        1e-3, gt=0, le=10, description="learning rate of the trained layers of the image branch"
    )
    text_learning_rate: float = Field(1e-2, gt=0, le=10, description="learning rate of the text head")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(5e-4, ge=0, le=1, description="weight decay of SGD")

    @abstractmethod
    def similarity(self, features: Tensor, texts: Tensor) -> Tensor:
        """Return the similarity S of a batch, float32 (B, B), from features (B, F) and texts (B, T)."""

    @abstractmethod
    def similarity_loss(self, images: Tensor, texts: Tensor, similarity: Tensor) -> Tensor:
        """Return the scalar loss of relaxed codes (B, K) of images and of texts, given S (B, B)."""

    @abstractmethod
    def image_reader(self, network: CrossModalNetwork, data: TrainingData, ctx: Context) -> ImageReader:
        """Return the function that reads training images; it is called once, before the first training step."""

    def trained_image_modules(self, network: CrossModalNetwork) -> list[nn.Module]:
        """Return the trained modules of the image branch."""
        return [network.image_head]

    def image_head(self, width: int, bits: int) -> nn.Module:
        return nn.Linear(width, bits)

    def text_head(self, width: int, bits: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, bits))

    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Return the weights of both branches; record the mean `loss` of each epoch."""
        run = _TrainingRun(self, data, ctx)
        for epoch in range(run.course.epoch, self.epochs):
            run.run_epoch(epoch)
        run.course.record()
        return run.network.state_dict()


class _TrainingRun:
    """State of a training: network, optimizer and progress; checkpoints hold trained modules only."""

    def __init__(self, hasher: JointSimilarityHasher, data: TrainingData, ctx: Context) -> None:
        self.hasher, self.ctx, self.count = hasher, ctx, len(data)
        self.batches = max(1, self.count // hasher.batch_size)
        self.network = hasher.initial_network(data, ctx)
        self.texts = data.texts(range(self.count))
        self.read_images = hasher.image_reader(self.network, data, ctx)
        image = nn.ModuleList(hasher.trained_image_modules(self.network)).requires_grad_(True).train()
        text = self.network.text_head.train()
        self.optimizer = torch.optim.SGD(
            [
                {"params": list(image.parameters()), "lr": hasher.image_learning_rate},
                {"params": list(text.parameters()), "lr": hasher.text_learning_rate},
            ],
            momentum=hasher.momentum,
            weight_decay=hasher.weight_decay,
        )
        self.course = Course(ctx, {"image": image, "text": text, "optimizer": self.optimizer})

    def run_epoch(self, epoch: int) -> None:
        """Take the steps of an epoch."""
        total = torch.zeros((), device=self.ctx.device)
        order = self.course.shuffle(self.count)[: self.batches * self.hasher.batch_size]
        for rows in order.tensor_split(self.batches):
            total += self.course.descend(self.optimizer, self.loss(rows, epoch))
            self.course.advance(self.hasher.epochs * self.batches)
        self.course.close_epoch({"loss": float(total) / self.batches})

    def loss(self, rows: Tensor, epoch: int) -> Tensor:
        """Return the loss of a batch; networks run at the precision of the step, the rest in float32."""
        texts = self.texts[rows.to(self.ctx.device)]
        with self.ctx.autocast():
            images = self.read_images(rows)
            text_logits = self.network.text(texts)
        alpha = math.sqrt(epoch + 1)
        codes = relax(images.logits.float(), alpha), relax(text_logits.float(), alpha)
        return self.hasher.similarity_loss(*codes, self.hasher.similarity(images.features.float(), texts))


def cosines(rows: Tensor, others: Tensor) -> Tensor:
    """Return the cosines (B, M) of `rows` (B, D) and `others` (M, D); a row of zeros has cosine 0 with all rows."""
    return normalize(rows) @ normalize(others).T
