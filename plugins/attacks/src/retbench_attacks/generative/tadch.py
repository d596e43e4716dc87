"""TA-DCH: a generator that redraws an image query for the labels and the text of a target.

Wang, Zhu, Zhang, Zhang and Han 2023, "Targeted Adversarial Attack against Deep Cross-modal Hashing Retrieval", IEEE
Transactions on Circuits and Systems for Video Technology.

The networks are those of its code. The equation of RetPur adds the translated semantics to the image; the code lays
them between the image's channels and draws the whole image anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from retbench import Batch, Facts, Knowledge, Need, State, relax
from retbench_attacks.generative.blocks import ResidualBlock, upsampling_block, conv_norm_relu
from retbench_attacks.generative.generator_attack import GeneratorAttack
from retbench_attacks.prototypes.tadch_prototypes import MAP, TadchPrototypes

KERNEL_SIZES = {1: 3, 2: 4, 4: 6}
"""Size of the kernel by which a transposed convolution enlarges by a factor, with a padding of 1."""

UPSAMPLING_FACTORS = ((1, 1), (2, 1), (2, 2), (4, 2), (4, 4))

# 14 itself is missing: the generator halves twice.
IMAGE_SIDES = {
    start * one * two: (start, one, two)
    for start in (14, 16)
    for one, two in UPSAMPLING_FACTORS
    if start * one * two % 4 == 0
}
"""Heights and widths that the networks can draw, each with the translator's first resolution and two enlargements."""


class TADCH(GeneratorAttack):
    """Aims at the code p in (-1, 1) of a target's labels and text; its distance is 1 - mean F(x') p.

    F is the attacked hasher's relaxed code; the published attack on DCMH takes its unbounded outputs:
    `{victim_output: logits}`. While it trains, targets are training rows, drawn uniformly with replacement.

    `reconstruction` is the code's. RetPur chose it between 1 and 5000 for each attacked hasher, and does not give the
    values. The code trains for 50 epochs by default, which is `{decay_epochs: 0}`; the example in its documentation for
    50 and 100 more, which are the defaults here. RetPur gives 150 in its section 4 and 100 in its appendix E.
    """

    name: ClassVar[str] = "tadch"
    source: ClassVar[str] = "Wang et al. 2023; networks and training as in the code of TA-DCH, weights as in RetPur"
    needs: ClassVar[frozenset[Need]] = frozenset({"training", "target_texts"})

    reconstruction: float = Field(150.0, ge=0, description="weight of the squared change, images in [-1, 1] (epsilon)")
    hamming: float = Field(5.0, ge=0, description="weight of the distance to the prototype code (mu)")
    adversarial: float = Field(1.0, ge=0, description="weight of the discriminator's verdict (nu)")
    victim_output: Literal["relaxed", "logits"] = Field(
        "relaxed", description="outputs of the hasher whose distance is taken: tanh of its logits, or the logits"
    )
    epochs: int = Field(50, ge=1, le=100_000, description="passes over the training split at the full learning rate")
    decay_epochs: int = Field(100, ge=0, le=100_000, description="passes after them, in which it falls linearly")
    prototypes: TadchPrototypes = Field(TadchPrototypes(), description="the net from targets to codes, its training")

    @property
    def schedule(self) -> tuple[int, int]:
        return self.epochs, self.decay_epochs

    def supports(self, facts: Facts) -> str | None:
        if not facts.text_width:
            return f"TA-DCH aims at a text and a label: dataset {facts.dataset} has no texts; take one that has"
        height, width = facts.image_size
        if height != width or height not in IMAGE_SIDES:
            sides = ", ".join(map(str, sorted(IMAGE_SIDES)))
            return f"the generator does not fit the image size: got {height}x{width}, expected a square of {sides}"
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

    def candidates(self, knowledge: Knowledge) -> tuple[Tensor, ...]:
        training = knowledge.training
        return training.labels.float(), training.texts(range(len(training)))

    def aims(self, batch: Batch) -> tuple[Tensor, ...]:
        if batch.target_texts is None:
            raise LookupError("attack tadch: the batch has no target texts: got None, expected float32 (B, T)")
        return batch.target_labels.float(), batch.target_texts

    def distance(self, logits: Tensor, prototypes: Tensor) -> Tensor:
        outputs = relax(logits) if self.victim_output == "relaxed" else logits
        return 1 - (outputs * prototypes).mean()


class Translator(nn.Module):
    """Draws a map of semantics as one channel of an image's size, by three transposed convolutions.

    The first leaves the 16 x 16 of the map or makes them 14 x 14, the other two enlarge that by 1, 2 or 4 each. The
    published one is for 224 pixels, 14 times 4 times 4; its width is 64.

    Args:
        width: channels of the map, a multiple of 16.
        factors: the two enlargements, of 1, 2 or 4.
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
        """Return (B, 1, side, side), not below 0, of maps (B, width, 16, 16), for a side of `IMAGE_SIDES`."""
        (convolution, *finish), *enlargements = self.layers
        # Only the padding of the first convolution depends on the side, so the weights of 14 and of 16 have one shape.
        drawn = F.conv_transpose2d(semantics, convolution.weight, padding=1 + (MAP - IMAGE_SIDES[side][0]) // 2)
        for layer in (*finish, *enlargements):
            drawn = layer(drawn)
        return drawn


class Generator(nn.Module):
    """Redraws an image so that it answers like a target: from the image and the target's map of semantics.

    Args:
        semantic: channels of the map of semantics.
        factors: the enlargements of the translator.
        width: channels of the first convolution, quadrupled inside; the published ones are 64.
        blocks: residual blocks; 6 are published.
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
        self.doubling = nn.Sequential(_smoothed(4 * width, 2 * width), upsampling_block(2 * width, width))
        self.exit = nn.Sequential(_smoothed(2 * width, width), _smoothed(width, 3))
        self.last = nn.Conv2d(6, 3, 3, padding=1, bias=False)

    def forward(self, images: Tensor, semantics: Tensor) -> Tensor:
        """Return images (B, 3, H, W) in (-1, 1) for images in [-1, 1] and maps (B, semantic, 16, 16)."""
        full = self.entry(interleave_channel(images, self.translator(semantics, images.shape[-1])))
        half = self.halving(full)
        features = self.doubling(torch.cat([half, self.core(half)], dim=1))
        drawn = self.exit(torch.cat([full, features], dim=1))
        return torch.tanh(self.last(torch.cat([images, drawn], dim=1)))


def interleave_channel(images: Tensor, channel: Tensor) -> Tensor:
    """Return (B, 6, H, W): red, `channel`, green, `channel`, blue, `channel`, of (B, 3, H, W) and (B, 1, H, W)."""
    return torch.stack([images, channel.to(images).expand_as(images)], dim=2).flatten(1, 2)


def _smoothed(before: int, after: int) -> nn.Sequential:
    return conv_norm_relu(nn.Conv2d(before, after, 3, padding=1, bias=False))
