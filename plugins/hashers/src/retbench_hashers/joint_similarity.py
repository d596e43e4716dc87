"""What DJSRH and JDSH share: the cosines of codes follow a similarity that a batch gives from its own features."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from retbench import Context, State, TrainingData, relax
from retbench_hashers.course import Course
from retbench_hashers.cross_modal import CrossModalHasher
from retbench_hashers.cross_modal_network import CrossModalNetwork


class ImageBatch(NamedTuple):
    """What is known of the images of a batch.

    Attributes:
        features: float (B, F) of the frozen backbone, which the similarity is computed from.
        logits: float (B, K) of the network that is trained, with a gradient.
    """

    features: Tensor
    logits: Tensor


ImageReader = Callable[[Tensor], ImageBatch]
"""From training rows int64 (B,), on the CPU, to what is known of their images."""


class JointSimilarityHasher(CrossModalHasher):
    """Heads whose codes are to be as similar, image with image, text with text and across, as image and text are.

    Nothing but the batch enters its similarity, so a batch is a small world of its own: its size matters. Codes are
    relaxed by tanh(alpha h) with alpha = sqrt(epoch + 1), epochs counted from 0, in training alone; the core relaxes
    by tanh(h). As published, the rows that do not fill a last batch are left out of an epoch, other ones each time; a
    split that is smaller than a batch is one batch. Texts are taken as they are, without a mean or a deviation.

    A row of zeros (an empty text) has a cosine of 0 with all, itself included, which is a similarity of -1.

    Published code leaves augmentation on in training (crops and flips); there is none here.
    """

    supervised: ClassVar[bool] = False

    hidden: int = Field(4096, ge=1, le=65_536, description="units of the hidden layer of the text head")
    epochs: int = Field(80, ge=1, le=10_000, description="passes over the training split")
    batch: int = Field(32, ge=2, le=65_536, description="pairs a step; the rows that do not fill one are left out")
    image_rate: float = Field(1e-3, gt=0, le=10, description="learning rate of what learns of the image branch")
    text_rate: float = Field(1e-2, gt=0, le=10, description="learning rate of the text head")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of the gradient descent")
    decay: float = Field(5e-4, ge=0, le=1, description="weight decay of the gradient descent")

    @abstractmethod
    def similarity(self, features: Tensor, texts: Tensor) -> Tensor:
        """Returns S, float32 (B, B), of the pairs of a batch from features (B, F) and texts (B, T)."""

    @abstractmethod
    def mismatch(self, images: Tensor, texts: Tensor, similarity: Tensor) -> Tensor:
        """Returns the scalar loss of relaxed codes (B, K) of images and of texts under S (B, B)."""

    @abstractmethod
    def reader(self, network: CrossModalNetwork, data: TrainingData, ctx: Context) -> ImageReader:
        """Returns how a fit reads images; called once, while the backbone of `network` still is what it starts from."""

    def learners(self, network: CrossModalNetwork) -> list[nn.Module]:
        """Returns what learns of the image branch."""
        return [network.image_head]

    def image_head(self, width: int, bits: int) -> nn.Module:
        return nn.Linear(width, bits)

    def text_head(self, width: int, bits: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, bits))

    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Returns the weights of both branches; records the mean `loss` of each epoch."""
        run = _Run(self, data, ctx)
        for epoch in range(run.course.epochs, self.epochs):
            run.epoch(epoch)
        run.course.record()
        return run.network.state_dict()


class _Run:
    """What moves while the heads are trained. Only what learns is in the checkpoint."""

    def __init__(self, hasher: JointSimilarityHasher, data: TrainingData, ctx: Context) -> None:
        self.hasher, self.ctx, self.count = hasher, ctx, len(data)
        self.batches = max(1, self.count // hasher.batch)
        self.network = hasher.begin(data, ctx)
        self.texts = data.texts(range(self.count))
        self.read = hasher.reader(self.network, data, ctx)
        image = nn.ModuleList(hasher.learners(self.network)).requires_grad_(True).train()
        text = self.network.text_head.train()
        self.optimiser = torch.optim.SGD(
            [
                {"params": list(image.parameters()), "lr": hasher.image_rate},
                {"params": list(text.parameters()), "lr": hasher.text_rate},
            ],
            momentum=hasher.momentum,
            weight_decay=hasher.decay,
        )
        self.course = Course(ctx, {"image": image, "text": text, "optimiser": self.optimiser})

    def epoch(self, epoch: int) -> None:
        """Takes the steps of an epoch."""
        total = torch.zeros((), device=self.ctx.device)
        order = self.course.order(self.count)[: self.batches * self.hasher.batch]
        for step, rows in enumerate(order.tensor_split(self.batches), start=epoch * self.batches):
            loss = self.loss(rows, epoch)
            self.optimiser.zero_grad()
            torch.autograd.backward(loss)
            self.optimiser.step()
            total += loss.detach()
            self.ctx.progress(step + 1, self.hasher.epochs * self.batches)
        rate = max(self.hasher.image_rate, self.hasher.text_rate)
        self.course.close_epoch({"loss": float(total) / self.batches}, rate=rate)

    def loss(self, rows: Tensor, epoch: int) -> Tensor:
        """Returns the loss of a batch; all but the networks is computed in float32."""
        texts = self.texts[rows.to(self.ctx.device)]
        with self.ctx.autocast():
            images = self.read(rows)
            text_logits = self.network.text(texts)
        alpha = math.sqrt(epoch + 1)
        codes = relax(images.logits.float(), alpha), relax(text_logits.float(), alpha)
        return self.hasher.mismatch(*codes, self.hasher.similarity(images.features.float(), texts))


def cosines(rows: Tensor, others: Tensor) -> Tensor:
    """Returns the cosines (B, M) of `rows` (B, D) with `others` (M, D); a row of zeros has cosine 0 with all."""
    return normalize(rows) @ normalize(others).T
