"""What the hashers trained on labels share: options, network and training."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from retbench import Context, Facts, Hasher, Part, State, TrainingData, relax
from retbench_hashers.backbone import Backbone
from retbench_hashers.conv import Conv
from retbench_hashers.deep_network import DeepNetwork
from retbench_hashers.optimisation import Optimisation, Optimiser
from retbench_hashers.pretrained import Pretrained
from retbench_hashers.starting_weights import starting_weights
from retbench_hashers.training import Moment, Training


class SupervisedHasher(Hasher):
    """A backbone under one linear layer of K logits, trained against a memory of all training codes.

    The memory holds the latest `outputs` of each training image, zero before its first visit. A step overwrites the
    rows of its batch, then compares the batch with all rows; the gradient flows through the batch alone. A subclass
    says how, in `loss`; one that compares with nothing but the batch, or with fixed centres, leaves the memory alone.

    A high learning rate collapses the codes to a handful: the memory shows a push on all codes at once only when their
    rows are visited next, so the mean code overshoots and swings.

    `weights: auto` becomes what the backbone is used with: `warm-up` for `conv`, for which nobody published
    weights, else `imagenet`. It is resolved here, so that a recipe says which. `normalise` is off by default, because
    ProS-GAN's networks see raw pixels, and RetPur trains with its code; ATRDH, SAAT and CgAT turn it on.
    """

    backbone: Literal["conv", "alexnet", "vgg11", "vgg16", "resnet18", "resnet50"] = Field(
        "conv", description="network under the hash layer"
    )
    weights: str = Field(
        "auto",
        description="what the backbone starts from: warm-up (conv alone), imagenet, random, or the path of a .pth or "
        ".safetensors file with torchvision's names; auto is warm-up for conv, else imagenet",
    )
    normalise: bool = Field(
        False, description="ImageNet's mean and deviation in front of the backbone; conv has a normalisation of its own"
    )
    warmup_epochs: int = Field(8, ge=1, le=10_000, description="passes over the training split in the warm-up of conv")
    warmup_peak: float = Field(2e-3, gt=0, le=1, description="highest learning rate of the warm-up of conv")
    epochs: int = Field(8, ge=1, le=10_000, description="passes over the training split after the warm-up")
    batch: int = Field(32, ge=2, le=65_536, description="training images a step, at most, in both trainings")
    optimiser: Optimiser = Field(
        "adamw", description="adamw (one cycle), sgd (a tenth of the rate every third), or rmsprop (constant rate)"
    )
    peak: float = Field(3e-4, gt=0, le=1, description="highest learning rate of adamw")
    rate: float = Field(0.05, gt=0, le=1, description="learning rate that sgd and rmsprop start from")
    decay: float = Field(1e-5, ge=0, le=1, description="weight decay of sgd and rmsprop")
    momentum: float = Field(0.0, ge=0, lt=1, description="momentum of sgd and rmsprop")

    @field_validator("weights")
    @classmethod
    def _resolved(cls, value: str, info: ValidationInfo) -> str:
        return starting_weights(value, info.data.get("backbone", ""))

    @field_validator("normalise")
    @classmethod
    def _once(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("backbone") == "conv":
            raise ValueError("conv moves pixels to [-1, 1] itself; expected false")
        return value

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"backbone": self._backbone()}

    def files(self, facts: Facts) -> dict[str, Path]:
        return self._backbone().files(facts)

    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Returns the weights of backbone and hash layer; records the mean `loss` of each epoch."""
        bits = data.facts.bits
        features = self._backbone().module(ctx.parts["backbone"], ctx.device)
        network = DeepNetwork(features, bits, self.normalise).requires_grad_(True).to(ctx.device)
        memory = torch.zeros(len(data), bits, device=ctx.device)

        def batch_loss(rows: Tensor, moment: Moment) -> Tensor:
            images = data.images(rows.tolist())
            with ctx.autocast():
                logits = network.image(images)
            rows, outputs = rows.to(ctx.device), self.outputs(logits.float(), moment)
            memory[rows] = outputs.detach()
            return self.loss(outputs, data.labels, rows, memory)

        training = Training(self.epochs, self.batch, self._optimisation())
        ctx.record("loss", training.run(network, batch_loss, len(data), ctx, memory))
        return network.state_dict()

    def network(self, state: State, device: torch.device) -> DeepNetwork:
        with torch.device("meta"):
            network = DeepNetwork(self._backbone().features(), len(state["hash.bias"]), self.normalise)
        network.to_empty(device=device).load_state_dict(state)
        return network

    def outputs(self, logits: Tensor, moment: Moment) -> Tensor:
        """Returns what `fit` hands to `loss` for float32 `logits` (B, K): the relaxed codes tanh(logits).

        A hasher that relaxes otherwise while it trains overrides this; encoding and attacks are not concerned.
        """
        return relax(logits)

    @abstractmethod
    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor: ...

    def _backbone(self) -> Backbone:
        if self.backbone == "conv":
            return Conv(epochs=self.warmup_epochs, peak=self.warmup_peak, batch=self.batch)
        return Pretrained(architecture=self.backbone, weights=self.weights)

    def _optimisation(self) -> Optimisation:
        if self.optimiser == "adamw":
            return Optimisation("adamw", self.peak)
        return Optimisation(self.optimiser, self.rate, self.decay, self.momentum)
