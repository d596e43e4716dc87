"""ProS-GAN: a generator, trained against the attacked hasher, that redraws any query for any target in one pass.

Wang, Zhang, Wu, Shen and Lu 2021, "Prototype-supervised Adversarial Network for Targeted Attack of Deep Hashing", CVPR.

The networks are those of its code. The paper adapts the networks of Zhu et al. 2017 (CycleGAN); the code is nearer to
Choi et al. 2018 (StarGAN): strided 4 x 4 convolutions, no reflection padding, and the clean image a second time in
front of the last convolution. Its decoder has one convolution more than the paper's text, and it concatenates where
RetPur's equation 8 adds.
"""

from __future__ import annotations

import itertools
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench import Batch, Facts, Knowledge, Need, State, relax
from retbench_attacks.generative.blocks import ResidualBlock, upsampling_block, conv_norm_relu
from retbench_attacks.generative.generator_attack import GeneratorAttack
from retbench_attacks.prototypes.prosgan_prototypes import ProsGanPrototypes
from retbench_attacks.prototypes.target_vectors import distinct_label_vectors

DOUBLINGS = 4
"""How often the decoder doubles its resolution: images are a multiple of 16 high and wide."""


class ProsGAN(GeneratorAttack):
    """Aims at the signed code p of a target's labels; its distance is 1 - mean F(x') p, F the hasher's relaxed code.

    The paper weighs reconstruction with 50 (NUS-WIDE, MS-COCO) or 100 (FLICKR-25K) and gives `hamming` no factor,
    which is the default; its code multiplies that term by 5. The code of ProS-GAN_Trans has
    `{hamming_form: squared, reconstruction: 50}`.
    """

    name: ClassVar[str] = "prosgan"
    source: ClassVar[str] = "Wang et al. 2021 (CVPR), section 3; networks and training as in the code of ProS-GAN"
    needs: ClassVar[frozenset[Need]] = frozenset({"training", "database_labels"})

    reconstruction: float = Field(100.0, ge=0, description="weight of the squared change, images in [-1, 1] (alpha)")
    hamming: float = Field(1.0, ge=0, description="weight of the distance to the prototype code: 1 paper, 5 code")
    hamming_form: Literal["linear", "squared"] = Field(
        "linear", description="distance of a relaxed bit to its prototype bit, s their product: 1 - s, or (1 - s)^2"
    )
    adversarial: float = Field(1.0, ge=0, description="weight of the discriminator's verdict (beta)")
    epochs: int = Field(100, ge=1, le=100_000, description="passes over the training split")
    learning_rate: float = Field(
        1e-4, gt=0, le=1, description="Adam's learning rate; falls linearly in the second half"
    )
    decoder_width: int = Field(128, ge=16, le=4096, multiple_of=16, description="channels of the decoder's first layer")
    prototypes: ProsGanPrototypes = Field(ProsGanPrototypes(), description="the net from labels to codes, its training")

    @property
    def schedule(self) -> tuple[int, int]:
        return self.epochs // 2, self.epochs - self.epochs // 2

    def supports(self, facts: Facts) -> str | None:
        size, factor = "x".join(map(str, facts.image_size)), 2**DOUBLINGS
        if any(side % factor for side in facts.image_size):
            return f"the generator does not fit the image size: got {size}, expected multiples of {factor}"
        return super().supports(facts)

    def build_generator(self, facts: Facts) -> Generator:
        height, width = facts.image_size
        return self._generator((height >> DOUBLINGS) * (width >> DOUBLINGS))

    def build_generator_for_state(self, state: State) -> Generator:
        return self._generator(len(state["decoder.linear.weight"]) // self.decoder_width)

    def _generator(self, cells: int) -> Generator:
        return Generator(self.prototypes.semantic, cells, self.width, self.blocks, self.decoder_width)

    def candidates(self, knowledge: Knowledge) -> tuple[Tensor, ...]:
        return (distinct_label_vectors(knowledge.grant("database_labels")),)

    def aims(self, batch: Batch) -> tuple[Tensor, ...]:
        return (batch.target_labels.float(),)

    def distance(self, logits: Tensor, prototypes: Tensor) -> Tensor:
        return self.hamming_loss(relax(logits), prototypes.sign())

    def hamming_loss(self, codes: Tensor, prototypes: Tensor) -> Tensor:
        """Return the mean distance of relaxed codes (B, K) to prototype codes in {-1, +1}, before its weight."""
        wrong = 1 - codes * prototypes
        return wrong.square().mean() if self.hamming_form == "squared" else wrong.mean()


class Decoder(nn.Module):
    """Spreads a semantic representation over an image: a linear layer, four doublings, a convolution to 3 channels.

    Args:
        semantic: length of the representation.
        cells: places at the lowest resolution, one for every 16 x 16 pixels of the image.
        width: channels at the lowest resolution, halved by each doubling; the published ones are 128.
    """

    def __init__(self, semantic: int, cells: int, width: int = 128) -> None:
        super().__init__()
        self.width = width
        self.linear = nn.Linear(semantic, width * cells)
        widths = [width >> step for step in range(DOUBLINGS + 1)]
        doublings = [upsampling_block(wide, narrow) for wide, narrow in itertools.pairwise(widths)]
        self.doublings = nn.Sequential(*doublings, nn.Conv2d(widths[-1], 3, 3, padding=1, bias=False))

    def forward(self, semantics: Tensor, size: tuple[int, int]) -> Tensor:
        """Return (B, 3, H, W), unbounded, of semantics (B, semantic) and the size (H, W)."""
        shape = (self.width, size[0] >> DOUBLINGS, size[1] >> DOUBLINGS)
        spread = torch.relu(self.linear(semantics)).unflatten(1, shape)
        picture: Tensor = self.doublings(spread)
        return picture


class Generator(nn.Module):
    """Redraws an image so that it answers like a target: from the image and the target's semantics to another image.

    Args:
        semantic: length of the semantic representation.
        cells: one for every 16 x 16 pixels of the images.
        width: channels of the first convolution, quadrupled inside; the published ones are 64.
        blocks: residual blocks; 6 are published.
        decoder_width: channels of the decoder's lowest resolution.
    """

    def __init__(self, semantic: int, cells: int, width: int = 64, blocks: int = 6, decoder_width: int = 128) -> None:
        super().__init__()
        self.decoder = Decoder(semantic, cells, decoder_width)
        self.trunk = nn.Sequential(
            conv_norm_relu(nn.Conv2d(6, width, 7, padding=3)),
            conv_norm_relu(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)),
            conv_norm_relu(nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1)),
            *[ResidualBlock(4 * width) for _ in range(blocks)],
            upsampling_block(4 * width, 2 * width),
            upsampling_block(2 * width, width),
        )
        self.last = nn.Conv2d(width + 3, 3, 3, padding=1, bias=False)

    def forward(self, images: Tensor, semantics: Tensor) -> Tensor:
        """Return images (B, 3, H, W) in (-1, 1) for images in [-1, 1] and semantics (B, semantic)."""
        decoded = self.decoder(semantics, (images.shape[2], images.shape[3]))
        features = self.trunk(torch.cat([decoded, images], dim=1))
        return torch.tanh(self.last(torch.cat([features, images], dim=1)))
