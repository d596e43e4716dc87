"""Options, network and training that all hashers of class labels share."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from retbench import Context, Facts, Hasher, HashNetwork, Part, State, TrainingData, relax
from retbench_hashers.backbones.backbone import Backbone
from retbench_hashers.backbones.conv import Conv
from retbench_hashers.backbones.features import IMAGENET_MEAN, IMAGENET_STD, Features
from retbench_hashers.backbones.pretrained import Pretrained
from retbench_hashers.backbones.weights_option import resolve_weights
from retbench_hashers.optimizer_settings import OptimizerName, OptimizerSettings
from retbench_hashers.training import Training, TrainingStep


class SupervisedHasher(Hasher):
    """A backbone and one linear hash layer of K logits, trained against a memory of all training codes.

    The memory holds the latest `outputs` of each training image, zero before its first visit. A step overwrites the
    rows of its batch, then `loss` compares the batch with all rows; only the batch has a gradient. A loss that compares
    the batch with itself, or with fixed centers, does not use the memory.

    A high learning rate collapses the codes to a few distinct ones: a change that moves all codes appears in the memory
    only when their rows are visited again, so the mean code overshoots and oscillates.

    `weights: auto` becomes `warm-up` for `conv`, which has no published weights, else `imagenet`. It is resolved here,
    so that the recipe holds the resolved value. `normalize` is off by default, because the networks of ProS-GAN get raw
    pixels, and RetPur trains with its code; ATRDH, SAAT and CgAT normalize.
    """

    supervised: ClassVar[bool] = True

    backbone: Literal["conv", "alexnet", "vgg11", "vgg16", "resnet18", "resnet50"] = Field(
        "conv", description="network under the hash layer"
    )
    weights: str = Field(
        "auto",
        description="initial weights of the backbone: warm-up (conv only), imagenet, random, or the path of a .pth or "
        ".safetensors file with torchvision's names; auto is warm-up for conv, else imagenet",
    )
    normalize: bool = Field(
        False,
        description="normalize pixels by ImageNet's mean and deviation; conv has its own normalization",
    )
    warmup_epochs: int = Field(8, ge=1, le=10_000, description="passes over the training split in the warm-up of conv")
    warmup_peak_learning_rate: float = Field(
        2e-3, gt=0, le=1, description="highest learning rate of the warm-up of conv"
    )
    epochs: int = Field(8, ge=1, le=10_000, description="passes over the training split after the warm-up")
    batch_size: int = Field(
        32, ge=2, le=65_536, description="maximum number of training images per step, also in the warm-up"
    )
    optimizer: OptimizerName = Field(
        "adamw",
        description="adamw (one cycle), sgd (a tenth of the rate after each third), or rmsprop (constant rate)",
    )
    peak_learning_rate: float = Field(3e-4, gt=0, le=1, description="highest learning rate of adamw")
    learning_rate: float = Field(0.05, gt=0, le=1, description="initial learning rate of sgd and rmsprop")
    weight_decay: float = Field(1e-5, ge=0, le=1, description="weight decay of sgd and rmsprop")
    momentum: float = Field(0.0, ge=0, lt=1, description="momentum of sgd and rmsprop")

    @field_validator("weights")
    @classmethod
    def _resolve_weights(cls, value: str, info: ValidationInfo) -> str:
        return resolve_weights(value, info.data.get("backbone", ""))

    @field_validator("normalize")
    @classmethod
    def _check_single_normalization(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("backbone") == "conv":
            raise ValueError("conv scales pixels to [-1, 1] itself; expected false")
        return value

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"backbone": self.backbone_part()}

    def files(self, facts: Facts) -> dict[str, Path]:
        return self.backbone_part().files(facts)

    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Return the weights of backbone and hash layer; record the mean `loss` of each epoch."""
        bits = data.facts.bits
        features = self.backbone_part().module(ctx.parts["backbone"], ctx.device)
        network = SupervisedNetwork(features, bits, self.normalize).requires_grad_(True).to(ctx.device)
        memory = torch.zeros(len(data), bits, device=ctx.device)

        def batch_loss(rows: Tensor, step: TrainingStep) -> Tensor:
            images = data.images(rows.tolist())
            with ctx.autocast():
                logits = network.image(images)
            rows, outputs = rows.to(ctx.device), self.outputs(logits.float(), step)
            memory[rows] = outputs.detach()
            return self.loss(outputs, data.labels, rows, memory)

        training = Training(self.epochs, self.batch_size, self._optimizer_settings())
        training.run(network, batch_loss, len(data), ctx, memory)
        return network.state_dict()

    def network(self, state: State, device: torch.device) -> SupervisedNetwork:
        with torch.device("meta"):
            network = SupervisedNetwork(self.backbone_part().features(), len(state["hash.bias"]), self.normalize)
        network.to_empty(device=device).load_state_dict(state)
        return network

    def outputs(self, logits: Tensor, step: TrainingStep) -> Tensor:
        """Return the input of `loss` for float32 `logits` (B, K): the relaxed codes tanh(logits).

        A hasher with another relaxation in training overrides it; encoding and attacks do not call it.
        """
        return relax(logits)

    @abstractmethod
    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor: ...

    def backbone_part(self) -> Backbone:
        """Return the backbone with the options of this hasher."""
        if self.backbone == "conv":
            return Conv(
                epochs=self.warmup_epochs,
                peak_learning_rate=self.warmup_peak_learning_rate,
                batch_size=self.batch_size,
            )
        return Pretrained(architecture=self.backbone, weights=self.weights)

    def _optimizer_settings(self) -> OptimizerSettings:
        if self.optimizer == "adamw":
            return OptimizerSettings("adamw", self.peak_learning_rate)
        return OptimizerSettings(self.optimizer, self.learning_rate, self.weight_decay, self.momentum)


class SupervisedNetwork(HashNetwork):
    """A backbone and its hash layer; with `normalize`, pixels are first normalized by ImageNet's mean and deviation."""

    def __init__(self, features: Features, bits: int, normalize: bool = False) -> None:
        super().__init__()
        self.pixels = _Normalization() if normalize else nn.Identity()
        self.features = features
        self.hash = nn.Linear(features.width, bits)
        if features.hash_layer_std is not None:
            nn.init.normal_(self.hash.weight, std=features.hash_layer_std)
            nn.init.zeros_(self.hash.bias)

    def image(self, images: Tensor) -> Tensor:
        logits: Tensor = self.hash(self.features(self.pixels(images)))
        return logits


class _Normalization(nn.Module):
    """Subtracts the mean and divides by the deviation of each channel.

    Both are buffers, so that a network built on the meta device gets them from its state.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std
