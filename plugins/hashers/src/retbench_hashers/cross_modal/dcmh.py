"""Deep cross-modal hashing.

Jiang and Li 2017, "Deep Cross-Modal Hashing", CVPR.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from retbench import Context, Course, State, TrainingData, sign
from retbench_hashers.cross_modal.cross_modal_hasher import CrossModalHasher
from retbench_hashers.pair_similarity import pair_similarity


class DCMH(CrossModalHasher):
    """Negative log-likelihood of the pairs' similarity given inner products across modalities, without tanh.

    F and G (N, K) hold the latest output of each training image and text; they start as N(0, 1). B = sign(F + G) is
    updated at the start of each epoch. A step on a batch of images with outputs f, s_ij = 1 for a shared class and
    theta_ij = f_i . G_j / 2 minimizes

        L = { sum_ij [ log(1 + exp theta_ij) - s_ij theta_ij ] + gamma |B - f|^2 + eta |sum_i F_i|^2 } / (b N),

    where the rows of the batch in F are f. The step on texts is the same with F and G exchanged. An epoch takes N // b
    steps on images, then as many on texts, each on b newly drawn rows. A split smaller than a batch is one batch.

    Outputs have no tanh. The core takes their sign, and attacks get their tanh; the published attack on this hasher
    gets the outputs themselves. The published text branch is convolutions over a map of 1 x T x 1, which are equivalent
    to linear layers. The whole backbone is trained, so no features are cached.

    The defaults are those of the PyTorch code. The eta term has a gradient in both modalities, as in the paper, the
    MATLAB code and the current PyTorch code (an older version of the latter lost it in the texts). The MATLAB code uses
    `schedule: logarithmic`, `last_learning_rate: 1e-3`, `weight_decay: 5e-4` and `center_texts: true`. It also starts
    with F = G = 0, takes N / b steps rounded up, and steps on texts first; these three have no option.
    """

    name: ClassVar[str] = "dcmh"
    source: ClassVar[str] = "Jiang and Li 2017, section 3; constants as in the PyTorch code of DCMH"
    uses_labels: ClassVar[bool] = True
    cached: ClassVar[str | None] = None

    hidden: int = Field(8192, ge=1, le=65_536, description="units of the hidden layer of the text head")
    epochs: int = Field(
        500, ge=1, le=10_000, description="rounds of N // batch_size steps on images and as many on texts"
    )
    batch_size: int = Field(128, ge=2, le=65_536, description="maximum number of rows per step")
    learning_rate: float = Field(10**-1.5, gt=0, le=10, description="learning rate of the first epoch")
    last_learning_rate: float = Field(1e-6, gt=0, le=10, description="last learning rate of the schedule")
    schedule: Literal["linear", "logarithmic"] = Field(
        "linear", description="decay of the learning rate over the epochs; linear ends one step before its last rate"
    )
    weight_decay: float = Field(0.0, ge=0, le=1, description="weight decay of both optimizers")
    quantization: float = Field(1.0, ge=0, le=1000, description="gamma, weight of the distance to the binary codes")
    balance: float = Field(1.0, ge=0, le=1000, description="eta, weight of the squared sum of the outputs of each bit")
    center_texts: bool = Field(False, description="subtract the mean text of the training split")

    def image_head(self, width: int, bits: int) -> nn.Module:
        return _initialized(nn.Linear(width, bits))

    def text_head(self, width: int, bits: int) -> nn.Module:
        return _TextHead(width, self.hidden, bits)

    def scheduled_learning_rate(self, epoch: int) -> float:
        """Return the learning rate of `epoch`, counted from 0."""
        if self.schedule == "linear":
            return self.learning_rate + (self.last_learning_rate - self.learning_rate) * epoch / self.epochs
        share = epoch / max(1, self.epochs - 1)
        return float(self.learning_rate ** (1 - share) * self.last_learning_rate**share)

    def branch_loss(self, outputs: Tensor, rows: Tensor, similarity: Tensor, memory: Memory) -> Tensor:
        """Return the scalar L of one modality.

        Args:
            outputs: float32 (b, K), with a gradient; `memory.own` already holds them.
            rows: int64 (b,), the training rows of the batch.
            similarity: float32 (b, N).
            memory: F, G and B, with F as `own` for images and G for texts.
        """
        theta = outputs @ memory.other.T / 2
        likelihood = (softplus(theta) - similarity * theta).sum()
        distance = (memory.codes[rows] - outputs).square().sum()
        # Adding zeros with a gradient gives the sum a gradient in the rows of the batch.
        sums = memory.own.sum(dim=0) + (outputs - outputs.detach()).sum(dim=0)
        loss = likelihood + self.quantization * distance + self.balance * sums.square().sum()
        return loss / (len(outputs) * len(memory.own))

    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Return the weights of both branches; record the mean `image_loss` and `text_loss` of each epoch."""
        run = _TrainingRun(self, data, ctx)
        for epoch in range(run.course.epoch, self.epochs):
            run.run_epoch(epoch)
        run.course.record()
        return run.network.state_dict()


class Memory(NamedTuple):
    """Outputs and codes of the training split, each float32 (N, K).

    Attributes:
        own: latest outputs of the modality that is trained.
        other: latest outputs of the other modality.
        codes: binary codes B.
    """

    own: Tensor
    other: Tensor
    codes: Tensor


class _TrainingRun:
    """State of a training: network, optimizers, latest outputs and progress."""

    def __init__(self, hasher: DCMH, data: TrainingData, ctx: Context) -> None:
        self.hasher, self.data, self.ctx = hasher, data, ctx
        self.steps = max(1, len(data) // hasher.batch_size)
        self.network = hasher.initial_network(data, ctx).requires_grad_(True).train()
        self.texts = data.texts(range(len(data)))
        if hasher.center_texts:
            cast("_TextHead", self.network.text_head).mean.copy_(self.texts.mean(dim=0))
        image = [*self.network.features.parameters(), *self.network.image_head.parameters()]
        self.image_optimizer = torch.optim.SGD(image, lr=hasher.learning_rate, weight_decay=hasher.weight_decay)
        text = self.network.text_head.parameters()
        self.text_optimizer = torch.optim.SGD(text, lr=hasher.learning_rate, weight_decay=hasher.weight_decay)
        shape = len(data), data.facts.bits
        self.image_outputs, self.text_outputs = (torch.randn(shape).to(ctx.device) for _ in range(2))
        self.course = Course(
            ctx,
            {"network": self.network, "image": self.image_optimizer, "text": self.text_optimizer},
            {"images": self.image_outputs, "texts": self.text_outputs},
        )

    def run_epoch(self, epoch: int) -> None:
        """Take the steps of an epoch, first on images, then on texts."""
        for optimizer in (self.image_optimizer, self.text_optimizer):
            optimizer.param_groups[0]["lr"] = self.hasher.scheduled_learning_rate(epoch)
        codes = sign(self.image_outputs + self.text_outputs).float()
        image_memory, text_memory = (
            Memory(self.image_outputs, self.text_outputs, codes),
            Memory(self.text_outputs, self.image_outputs, codes),
        )
        losses = {
            "image_loss": self.train_modality("image_loss", self.image_logits, self.image_optimizer, image_memory),
            "text_loss": self.train_modality("text_loss", self.text_logits, self.text_optimizer, text_memory),
        }
        self.course.close_epoch(losses)

    def train_modality(
        self, name: str, logits: Callable[[Tensor], Tensor], optimizer: torch.optim.SGD, memory: Memory
    ) -> float:
        """Take the steps of one modality in an epoch, and return its mean loss."""
        total = torch.zeros((), device=self.ctx.device)
        for _ in range(self.steps):
            rows = self.course.shuffle(len(self.data))[: self.hasher.batch_size]
            with self.ctx.autocast():
                outputs = logits(rows)
            outputs, rows = outputs.float(), rows.to(self.ctx.device)
            memory.own[rows] = outputs.detach()
            loss = self.hasher.branch_loss(outputs, rows, pair_similarity(self.data.labels, rows), memory)
            total += self.course.descend(optimizer, loss, name)
            self.course.advance(2 * self.hasher.epochs * self.steps)
        return float(total) / self.steps

    def image_logits(self, rows: Tensor) -> Tensor:
        """Return the outputs of the images at `rows`."""
        return self.network.image(self.data.images(rows.tolist()))

    def text_logits(self, rows: Tensor) -> Tensor:
        """Return the outputs of the texts at `rows`."""
        return self.network.text(self.texts[rows.to(self.ctx.device)])


class _TextHead(nn.Module):
    """Two linear layers; the mean is subtracted from the texts and is 0 unless texts are centered."""

    mean: Tensor

    def __init__(self, width: int, hidden: int, bits: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.layers = nn.Sequential(
            _initialized(nn.Linear(width, hidden)), nn.ReLU(), _initialized(nn.Linear(hidden, bits))
        )

    def forward(self, texts: Tensor) -> Tensor:
        logits: Tensor = self.layers(texts - self.mean)
        return logits


def _initialized(layer: nn.Linear) -> nn.Linear:
    """Return the layer with weights and biases from N(0, 0.01^2)."""
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.normal_(layer.bias, std=0.01)
    return layer
