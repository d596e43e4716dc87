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
from retbench_hashers.backbones.starting_weights import starting_weights

SUPERVISED_WARM_UP = "conv starts from a warm-up on the labels, so that nothing here is unsupervised"


class CrossModalHasher(Hasher):
    """A head above the features of a backbone for images, and a head for texts, with one code of K bits for both.

    The backbone is a part that most of these do not train (`cached`). `weights: auto` becomes `warm-up` for `conv`,
    else `imagenet`. The warm-up of `conv` learns from labels, or from the paired texts, which an unsupervised hasher
    may see (`warmup`).

    Class attributes:
        uses_labels: whether training reads class labels. Not `supervised`: none of these hashers has a `loss`
            that takes relaxed codes of a batch and of the training split.
    """

    modalities: ClassVar[frozenset[Modality]] = frozenset({"image", "text"})
    cached: ClassVar[str | None] = "backbone"
    uses_labels: ClassVar[bool]

    backbone: Literal["conv", "cnn-f", "alexnet", "vgg11"] = Field(
        "conv", description="network whose features of an image the hasher starts from"
    )
    weights: str = Field(
        "auto",
        description="what the backbone starts from: warm-up (conv alone), imagenet, random, or the path of a file; "
        "auto is warm-up for conv, else imagenet",
    )
    lrn: Literal["port", "exact"] = Field(
        "port", description="local response norm of cnn-f: that of the PyTorch ports, or of the original network"
    )
    extra_padding: bool = Field(False, description="cnn-f pads once more before its first pooling, as DADH's code does")
    warmup: Literal["auto", "labels", "texts"] = Field(
        "auto",
        description="what the warm-up of conv learns from; auto is labels where the hasher uses labels, else texts",
    )
    warmup_epochs: int = Field(8, ge=1, le=10_000, description="passes over the training split in the warm-up of conv")
    warmup_peak_learning_rate: float = Field(
        2e-3, gt=0, le=1, description="highest learning rate of the warm-up of conv"
    )
    warmup_batch_size: int = Field(32, ge=2, le=65_536, description="training images of a step of the warm-up, at most")

    @field_validator("weights")
    @classmethod
    def _resolved(cls, value: str, info: ValidationInfo) -> str:
        return starting_weights(value, info.data.get("backbone", ""))

    @field_validator("warmup")
    @classmethod
    def _resolved_warmup(cls, value: str) -> str:
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
        return {"backbone": self.part()}

    def files(self, facts: Facts) -> dict[str, Path]:
        return self.part().files(facts)

    def supports(self, facts: Facts) -> str | None:
        if not facts.text_width:
            return f"it learns from pairs of an image and a text, and dataset {facts.dataset} has no texts"
        return super().supports(facts)

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        from_labels = self.backbone == "conv" and self.warmup == "labels" and not self.uses_labels
        return (SUPERVISED_WARM_UP,) if from_labels else ()

    def begin(self, data: TrainingData, ctx: Context) -> CrossModalNetwork:
        """Return the network that a fit starts from, on its device: frozen features and untrained heads."""
        features = self.part().module(ctx.parts["backbone"], ctx.device)
        return self.assemble(features, data.facts.text_width, data.facts.bits).to(ctx.device)

    def assemble(self, features: nn.Module, text_width: int, bits: int) -> CrossModalNetwork:
        """Return the network with untrained heads above `features`."""
        width: int = features.width  # type: ignore[assignment]  # nn.Module's attributes have no types
        heads = self.image_head(width, bits), self.text_head(text_width, bits)
        return CrossModalNetwork(features, *heads, text_width, bits)

    def network(self, state: State, device: torch.device) -> CrossModalNetwork:
        text_width, bits = (int(size) for size in state["sizes"])
        with torch.device("meta"):
            network = self.assemble(self.part().features(), text_width, bits)
        network.to_empty(device=device).load_state_dict(state)
        return network

    def part(self) -> Backbone:
        """Return the backbone."""
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
    """A branch for images, features and a head, and a branch for texts, a head, with codes of the same length.

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
        # Part of the state: the network is rebuilt from the state alone.
        self.register_buffer("sizes", torch.tensor([text_width, bits]))

    def image(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images))

    def from_features(self, features: Tensor) -> Tensor:
        logits: Tensor = self.image_head(features)
        return logits

    def text(self, texts: Tensor) -> Tensor:
        logits: Tensor = self.text_head(texts)
        return logits
