"""TA-DCH: a generator, conditioned on the labels and the text of a target, for image queries of cross-modal hashers.

Wang, Zhu, Zhang, Zhang and Han 2023, "Targeted Adversarial Attack against Deep Cross-modal Hashing Retrieval", IEEE
Transactions on Circuits and Systems for Video Technology.

The networks follow the published code. The equation in RetPur adds the translated semantics to the image; the code
interleaves them with the image's channels and generates the whole image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from retbench import Batch, Facts, Knowledge, Need, State, relax
from retbench_attacks.generative.blocks import ResidualBlock, conv_norm_relu, upsampling_block
from retbench_attacks.generative.generator_attack import GeneratorAttack
from retbench_attacks.prototypes.tadch_prototypes import MAP_SIDE, TadchPrototypes

KERNEL_SIZES = {1: 3, 2: 4, 4: 6}
"""Kernel size of a transposed convolution with padding 1, by its upsampling factor."""

UPSAMPLING_FACTORS = ((1, 1), (2, 1), (2, 2), (4, 2), (4, 4))

# Sides must be divisible by 4, because the generator halves the resolution twice: 14 is left out.
IMAGE_SIDES = {
    first * second * third: (first, second, third)
    for first in (14, 16)
    for second, third in UPSAMPLING_FACTORS
    if first * second * third % 4 == 0
}
"""Supported image sides: each with the translator's first resolution and its two upsampling factors."""


class TADCH(GeneratorAttack):
    """Moves the code of an image query to the code p in (-1, 1) of its target's labels and text, by a generator.

    The distance is 1 - mean F(x') p, with F the relaxed code of the attacked hasher; the published attack on DCMH uses
    its unbounded outputs: `{victim_output: logits}`. In training, targets are training rows, drawn uniformly with
    replacement.

    The default of `reconstruction` is that of the published code. RetPur chose a value between 1 and 5000 for each
    attacked hasher and does not report the values. The code trains for 50 epochs by default (`{decay_epochs: 0}`); the
    example in its documentation trains for 100 more, as the defaults here. RetPur reports 150 epochs in section 4 and
    100 in appendix E.
    """

    name: ClassVar[str] = "tadch"
    source: ClassVar[str] = "Wang et al. 2023; networks and training as in the code of TA-DCH, weights as in RetPur"
    needs: ClassVar[frozenset[Need]] = frozenset({"training", "target_texts"})

    reconstruction: float = Field(150.0, ge=0, description="weight of the squared change, images in [-1, 1] (epsilon)")
    hamming: float = Field(5.0, ge=0, description="weight of the distance to the prototype code (mu)")
    adversarial: float = Field(1.0, ge=0, description="weight of the discriminator's loss on generated images (nu)")
    victim_output: Literal["relaxed", "logits"] = Field(
        "relaxed",
        description="hasher outputs compared with the prototype code: tanh of its logits, or the logits",
    )
    epochs: int = Field(50, ge=1, le=100_000, description="passes over the training split at the full learning rate")
    decay_epochs: int = Field(
        100, ge=0, le=100_000, description="passes after these, while the learning rate decays linearly"
    )
    prototypes: TadchPrototypes = Field(TadchPrototypes(), description="the prototype network and its training")

    @property
    def schedule(self) -> tuple[int, int]:
        return self.epochs, self.decay_epochs

    def supports(self, facts: Facts) -> str | None:
        if not facts.text_width:
            return (
                f"TA-DCH needs the text of a target: dataset {facts.dataset} has no texts; choose a dataset with texts"
            )
        height, width = facts.image_size
        if height != width or height not in IMAGE_SIDES:
            sides = ", ".join(map(str, sorted(IMAGE_SIDES)))
            return f"the generator cannot process this size: got {height}x{width}, expected a square with side {sides}"
        return super().supports(facts)

    def build_generator(self, facts: Facts) -> Generator:
        _, *factors = IMAGE_SIDES[facts.image_size[0]]
        return self._generator(*factors)

    def build_generator_for_state(self, state: State) -> Generator:
        factor_of = {kernel: factor for factor, kernel in KERNEL_SIZES.items()}
        kernels = [state[f"translator.layers.{layer}.0.weight"].shape[-1] for layer in (1, 2)]
        return self._generator(*(factor_of[kernel] for kernel in kernels))

    def _generator(self, *factors: int) -> Generator:
        return Generator(self.prototypes.width, factors, self.width, self.blocks)

    def training_targets(self, knowledge: Knowledge) -> tuple[Tensor, ...]:
        training = knowledge.training
        return training.labels.float(), training.texts(range(len(training)))

    def query_targets(self, batch: Batch) -> tuple[Tensor, ...]:
        if batch.target_texts is None:
            raise LookupError("tadch: the batch has no target texts: got None, expected float32 (B, T)")
        return batch.target_labels.float(), batch.target_texts

    def distance(self, logits: Tensor, prototypes: Tensor) -> Tensor:
        outputs = relax(logits) if self.victim_output == "relaxed" else logits
        return 1 - (outputs * prototypes).mean()


class Translator(nn.Module):
    """Translates a map of semantics to one channel of image size, by three transposed convolutions.

    The first keeps the 16 x 16 of the map or reduces it to 14 x 14; the other two upsample by 1, 2 or 4 each. The
    published translator is for 224 = 14 * 4 * 4 pixels and has a width of 64.

    Args:
        width: channels of the map, a multiple of 16.
        factors: the two upsampling factors: 1, 2 or 4.
    """

    def __init__(self, width: int, factors: Sequence[int]) -> None:
        super().__init__()
        widths = (3 * width // 4, 3 * width // 16, 1)
        first = nn.ConvTranspose2d(width, widths[0], 3, bias=False)
        second, third = (
            nn.ConvTranspose2d(before, after, KERNEL_SIZES[factor], factor, padding=1, bias=False)
            for before, after, factor in zip(widths, widths[1:], factors, strict=False)
        )
        self.layers = nn.Sequential(conv_norm_relu(first), conv_norm_relu(second), conv_norm_relu(third))

    def forward(self, semantics: Tensor, side: int) -> Tensor:
        """Return (B, 1, side, side), at least 0, from maps (B, width, 16, 16); `side` is a key of IMAGE_SIDES."""
        convolution, *others = cast(nn.Sequential, self.layers[0])
        # Only the padding of the first convolution depends on the side, so its weights have one shape for 14 and 16.
        padding = 1 + (MAP_SIDE - IMAGE_SIDES[side][0]) // 2
        features = F.conv_transpose2d(semantics, cast(nn.ConvTranspose2d, convolution).weight, padding=padding)
        for layer in (*others, *list(self.layers)[1:]):
            features = layer(features)
        return features


class Generator(nn.Module):
    """Generates an adversarial image from an image and the map of semantics of a target.

    Args:
        semantic: channels of the map of semantics.
        factors: the two upsampling factors of the translator.
        width: channels of the first convolution; the inner ones have four times as many. Published: 64.
        blocks: residual blocks. Published: 6.
    """

    def __init__(self, semantic: int, factors: Sequence[int], width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.translator = Translator(semantic, factors)
        self.entry = conv_norm_relu(nn.Conv2d(6, width, 7, padding=3))
        self.halving = conv_norm_relu(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1))
        self.core = nn.Sequential(
            conv_norm_relu(nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1)),
            *[ResidualBlock(4 * width) for _ in range(blocks)],
            upsampling_block(4 * width, 2 * width),
        )
        self.doubling = nn.Sequential(_conv_block(4 * width, 2 * width), upsampling_block(2 * width, width))
        self.exit = nn.Sequential(_conv_block(2 * width, width), _conv_block(width, 3))
        self.last = nn.Conv2d(6, 3, 3, padding=1, bias=False)

    def forward(self, images: Tensor, semantics: Tensor) -> Tensor:
        """Return images (B, 3, H, W) in (-1, 1) for images in [-1, 1] and maps (B, semantic, 16, 16)."""
        full = self.entry(interleave_channel(images, self.translator(semantics, images.shape[-1])))
        half = self.halving(full)
        features = self.doubling(torch.cat([half, self.core(half)], dim=1))
        features = self.exit(torch.cat([full, features], dim=1))
        return torch.tanh(self.last(torch.cat([images, features], dim=1)))


def interleave_channel(images: Tensor, channel: Tensor) -> Tensor:
    """Return (B, 6, H, W): `channel` (B, 1, H, W) inserted after each channel of `images` (B, 3, H, W)."""
    return torch.stack([images, channel.to(images).expand_as(images)], dim=2).flatten(1, 2)


def _conv_block(in_channels: int, out_channels: int) -> nn.Sequential:
    return conv_norm_relu(nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False))
