"""What the hashers trained on pairs of images share: options, network and training loop."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench import Context, Facts, Hasher, HashNetwork, Part, State, TrainingData, relax
from retbench_hashers.conv import Conv, ConvFeatures
from retbench_hashers.one_cycle import OneCycle

SMALLEST_SIDE = 8


class PairwiseHasher(Hasher):
    """A backbone under one linear layer of K logits, trained against a memory of all training codes.

    The memory holds the latest relaxed code of each training image, zero before its first visit. A step overwrites the
    rows of its batch, then compares the batch with all rows; the gradient flows through the batch alone. A subclass
    says how, in `loss`.

    A high learning rate collapses the codes to a handful: the memory shows a push on all codes at once only when their
    rows are visited next, so the mean code overshoots and swings.
    """

    backbone: Literal["conv"] = Field("conv", description="network under the hash layer")
    warmup_epochs: int = Field(8, ge=1, le=10_000, description="passes over the training split in the warm-up")
    warmup_peak: float = Field(2e-3, gt=0, le=1, description="highest learning rate of the warm-up")
    epochs: int = Field(8, ge=1, le=10_000, description="passes over the training split after the warm-up")
    peak: float = Field(3e-4, gt=0, le=1, description="highest learning rate of the one-cycle schedule")
    batch: int = Field(32, ge=2, le=65_536, description="training images a step, at most, in both trainings")

    def supports(self, facts: Facts) -> str | None:
        height, width = facts.image_size
        if min(height, width) < SMALLEST_SIDE:
            return f"images of {height} x {width} do not survive three halvings; take images of 8 x 8 or larger"
        return None

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"backbone": self._warmup()}

    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Returns the weights of backbone and hash layer; records the mean `loss` of each epoch."""
        bits = data.facts.bits
        features = self._warmup().module(ctx.parts["backbone"], ctx.device)
        network = PairwiseNetwork(features, bits).requires_grad_(True).to(ctx.device)
        memory = torch.zeros(len(data), bits, device=ctx.device)

        def batch_loss(rows: Tensor) -> Tensor:
            images = data.images(rows.tolist())
            with ctx.autocast():
                logits = network.image(images)
            outputs = relax(logits.float())
            memory[rows] = outputs.detach()
            return self.loss(outputs, data.labels, rows, memory)

        schedule = OneCycle(self.epochs, self.peak, self.batch)
        ctx.record("loss", list(schedule.train(network, batch_loss, len(data), ctx)))
        return network.state_dict()

    def network(self, state: State, device: torch.device) -> PairwiseNetwork:
        with torch.device("meta"):
            network = PairwiseNetwork(self._warmup().features(), bits=len(state["hash.bias"]))
        network.to_empty(device=device).load_state_dict(state)
        return network

    @abstractmethod
    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor: ...

    def _warmup(self) -> Conv:
        return Conv(epochs=self.warmup_epochs, peak=self.warmup_peak, batch=self.batch)


class PairwiseNetwork(HashNetwork):
    """Features and the hash layer above them."""

    def __init__(self, features: ConvFeatures, bits: int) -> None:
        super().__init__()
        self.features = features
        self.hash = nn.Linear(features.width, bits)

    def image(self, images: Tensor) -> Tensor:
        logits: Tensor = self.hash(self.features(images))
        return logits


def pair_similarity(labels: Tensor, rows: Tensor) -> Tensor:
    """Returns float32 (B, N): 1 where training image `rows[i]` shares a class with image j, else 0.

    A row without labels is similar to nothing, itself included.
    """
    counts = labels[rows].float() @ labels.T.float()
    return (counts > 0).float()
