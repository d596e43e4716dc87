"""Options, backbone and network that all hashers of images and texts share."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from retbench import Context, Facts, Hasher, HashNetwork, Modality, Part, State, TrainingData
from retbench_hashers.backbones.backbone import Backbone
from retbench_hashers.backbones.cnn_f import CnnFBackbone
from retbench_hashers.backbones.conv import Conv
from retbench_hashers.backbones.conv_words import ConvWords
from retbench_hashers.backbones.pretrained import Pretrained
from retbench_hashers.backbones.weights_option import resolve_weights

SUPERVISED_WARM_UP = "the warm-up of conv learned from labels, so this result is not unsupervised"
"""Caveat of an unsupervised hasher with `warmup: labels`."""


class CrossModalHasher(Hasher):
    """A head on the features of an image backbone, and a head for texts, both with codes of K bits.

    The backbone is a part. Hashers that do not train it further declare it as `cached`. `weights: auto` becomes
    `warm-up` for `conv`, else `imagenet`. The warm-up of `conv` learns from labels or from the paired texts (`warmup`);
    an unsupervised hasher must not use labels.

    Class attributes:
        uses_labels: whether training reads class labels. It differs from `supervised`, which declares a `loss` on
            relaxed codes of a batch and of the training split; none of these hashers has one.
    """

    modalities: ClassVar[frozenset[Modality]] = frozenset({"image", "text"})
    cached: ClassVar[str | None] = "backbone"
    uses_labels: ClassVar[bool]

    backbone: Literal["conv", "cnn-f", "alexnet", "vgg11"] = Field(
        "conv", description="network from images to the features under the image head"
    )
    weights: str = Field(
        "auto",
        description="initial weights of the backbone: warm-up (conv only), imagenet, random, or the path of a file; "
        "auto is warm-up for conv, else imagenet",
    )
    lrn: Literal["port", "exact"] = Field(
        "port", description="local response normalization of cnn-f: port (PyTorch code) or exact (as published)"
    )
    extra_padding: bool = Field(False, description="extra padding of cnn-f before its first pooling, as in DADH's code")
    warmup: Literal["auto", "labels", "texts"] = Field(
        "auto",
        description="what the warm-up of conv learns from; auto is labels if the hasher uses labels, else texts",
    )
    warmup_epochs: int = Field(8, ge=1, le=10_000, description="passes over the training split in the warm-up of conv")
    warmup_peak_learning_rate: float = Field(
        2e-3, gt=0, le=1, description="highest learning rate of the warm-up of conv"
    )
    warmup_batch_size: int = Field(
        32, ge=2, le=65_536, description="maximum number of training images per step of the warm-up"
    )

    @field_validator("weights")
    @classmethod
    def _resolve_weights(cls, value: str, info: ValidationInfo) -> str:
        return resolve_weights(value, info.data.get("backbone", ""))

    @field_validator("warmup")
    @classmethod
    def _resolve_warmup(cls, value: str) -> str:
        if value == "auto":
            return "labels" if cls.uses_labels else "texts"
        return value

    @abstractmethod
    def image_head(self, width: int, bits: int) -> nn.Module:
        """Return the untrained head from features (B, width) to logits (B, bits)."""

    @abstractmethod
    def text_head(self, width: int, bits: int) -> nn.Module:
        """Return the untrained head from texts (B, width) to logits (B, bits)."""

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"backbone": self.backbone_part()}

    def files(self, facts: Facts) -> dict[str, Path]:
        return self.backbone_part().files(facts)

    def supports(self, facts: Facts) -> str | None:
        if not facts.text_width:
            return f"needs images with texts: dataset {facts.dataset} has no texts; take one with texts"
        return super().supports(facts)

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        from_labels = self.backbone == "conv" and self.warmup == "labels" and not self.uses_labels
        return (SUPERVISED_WARM_UP,) if from_labels else ()

    def initial_network(self, data: TrainingData, ctx: Context) -> CrossModalNetwork:
        """Return the network before training, on the device of `ctx`: frozen features and untrained heads."""
        features = self.backbone_part().module(ctx.parts["backbone"], ctx.device)
        return self.build_network(features, data.facts.text_width, data.facts.bits).to(ctx.device)

    def build_network(self, features: nn.Module, text_width: int, bits: int) -> CrossModalNetwork:
        """Return a network of `features` and untrained heads."""
        width: int = features.width  # type: ignore[assignment]  # nn.Module's attributes have no types
        heads = self.image_head(width, bits), self.text_head(text_width, bits)
        return CrossModalNetwork(features, *heads, text_width, bits)

    def network(self, state: State, device: torch.device) -> CrossModalNetwork:
        text_width, bits = (int(size) for size in state["sizes"])
        with torch.device("meta"):
            network = self.build_network(self.backbone_part().features(), text_width, bits)
        network.to_empty(device=device).load_state_dict(state)
        return network

    def backbone_part(self) -> Backbone:
        """Return the backbone with the options of this hasher."""
        if self.backbone == "conv":
            warm_up = Conv if self.warmup == "labels" else ConvWords
            return warm_up(
                epochs=self.warmup_epochs,
                peak_learning_rate=self.warmup_peak_learning_rate,
                batch_size=self.warmup_batch_size,
            )
        if self.backbone == "cnn-f":
            return CnnFBackbone(weights=self.weights, lrn=self.lrn, extra_padding=self.extra_padding)
        return Pretrained(architecture=self.backbone, weights=self.weights)


class CrossModalNetwork(HashNetwork):
    """A backbone and a head for images, and a head for texts, with codes of the same length.

    Args:
        features: float images (B, 3, H, W) in [0, 1] to features (B, F).
        image_head: features (B, F) to logits (B, K).
        text_head: texts (B, T) to logits (B, K).
        text_width: T.
        bits: K.
    """

    sizes: Tensor

    def __init__(
        self, features: nn.Module, image_head: nn.Module, text_head: nn.Module, text_width: int, bits: int
    ) -> None:
        super().__init__()
        self.features, self.image_head, self.text_head = features, image_head, text_head
        # In the state, so that `network` can rebuild the heads from the state alone.
        self.register_buffer("sizes", torch.tensor([text_width, bits]))

    def image(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images))

    def from_features(self, features: Tensor) -> Tensor:
        logits: Tensor = self.image_head(features)
        return logits

    def text(self, texts: Tensor) -> Tensor:
        logits: Tensor = self.text_head(texts)
        return logits
