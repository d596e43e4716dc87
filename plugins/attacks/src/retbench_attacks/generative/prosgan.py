"""ProS-GAN: a generator, conditioned on the target's labels and trained against the attacked hasher.

Wang, Zhang, Wu, Shen and Lu 2021, "Prototype-supervised Adversarial Network for Targeted Attack of Deep Hashing", CVPR.

The networks follow the published code. The paper adapts the networks of Zhu et al. 2017 (CycleGAN); the code is closer
to Choi et al. 2018 (StarGAN): strided 4 x 4 convolutions, no reflection padding, and the clean image concatenated again
before the last convolution. The decoder has one convolution more than the paper describes, and the code concatenates
the decoded semantics where equation 8 of RetPur adds them.
"""

from __future__ import annotations

import itertools
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench import Batch, Facts, Knowledge, Need, State, relax
from retbench_attacks.generative.blocks import ResidualBlock, conv_norm_relu, upsampling_block
from retbench_attacks.generative.generator_attack import GeneratorAttack
from retbench_attacks.prototypes.prosgan_prototypes import ProsGanPrototypes
from retbench_attacks.prototypes.target_vectors import distinct_label_vectors

DOUBLINGS = 4
"""Number of decoder layers that double the resolution; height and width of images must be multiples of 16."""


class ProsGAN(GeneratorAttack):
    """Moves the code of a query to the signed prototype code p of its target labels, by a generator.

    The distance is 1 - mean F(x') p, with F the hasher's relaxed code. The paper weights `reconstruction` with 50
    (NUS-WIDE, MS-COCO) or 100 (FLICKR-25K) and `hamming` with 1, the defaults here; its code weights `hamming` with 5.
    The code of ProS-GAN_Trans uses `{hamming_form: squared, reconstruction: 50}`.
    """

    name: ClassVar[str] = "prosgan"
    source: ClassVar[str] = "Wang et al. 2021 (CVPR), section 3; networks and training as in the code of ProS-GAN"
    needs: ClassVar[frozenset[Need]] = frozenset({"training", "database_labels"})

    reconstruction: float = Field(100.0, ge=0, description="weight of the squared change, images in [-1, 1] (alpha)")
    hamming: float = Field(
        1.0, ge=0, description="weight of the distance to the prototype code: 1 in the paper, 5 in its code"
    )
    hamming_form: Literal["linear", "squared"] = Field(
        "linear", description="distance per bit, s the product of relaxed bit and prototype bit: 1 - s, or (1 - s)^2"
    )
    adversarial: float = Field(1.0, ge=0, description="weight of the discriminator's loss on generated images (beta)")
    epochs: int = Field(100, ge=1, le=100_000, description="passes over the training split")
    learning_rate: float = Field(
        1e-4, gt=0, le=1, description="Adam's learning rate; decays linearly in the second half of the epochs"
    )
    decoder_width: int = Field(
        128, ge=16, le=4096, multiple_of=16, description="channels of the decoder at its lowest resolution"
    )
    prototypes: ProsGanPrototypes = Field(ProsGanPrototypes(), description="the prototype network and its training")

    @property
    def schedule(self) -> tuple[int, int]:
        return self.epochs // 2, self.epochs - self.epochs // 2

    def supports(self, facts: Facts) -> str | None:
        size, factor = "x".join(map(str, facts.image_size)), 2**DOUBLINGS
        if any(side % factor for side in facts.image_size):
            return f"the generator cannot process this size: got {size}, expected multiples of {factor}"
        return super().supports(facts)

    def build_generator(self, facts: Facts) -> Generator:
        height, width = facts.image_size
        return self._generator((height >> DOUBLINGS) * (width >> DOUBLINGS))

    def build_generator_for_state(self, state: State) -> Generator:
        return self._generator(len(state["decoder.linear.weight"]) // self.decoder_width)

    def _generator(self, cells: int) -> Generator:
        return Generator(self.prototypes.semantic, cells, self.width, self.blocks, self.decoder_width)

    def training_targets(self, knowledge: Knowledge) -> tuple[Tensor, ...]:
        return (distinct_label_vectors(knowledge.grant("database_labels")),)

    def query_targets(self, batch: Batch) -> tuple[Tensor, ...]:
        return (batch.target_labels.float(),)

    def distance(self, logits: Tensor, prototypes: Tensor) -> Tensor:
        return self.hamming_loss(relax(logits), prototypes.sign())

    def hamming_loss(self, codes: Tensor, prototypes: Tensor) -> Tensor:
        """Return the unweighted mean distance of relaxed codes (B, K) to prototype codes (B, K) in {-1, +1}."""
        distances = 1 - codes * prototypes
        return distances.square().mean() if self.hamming_form == "squared" else distances.mean()


class Decoder(nn.Module):
    """Decodes a semantic vector to 3 channels of image size: a linear layer, four upsampling blocks, a convolution.

    Args:
        semantic: length of the semantic vector.
        cells: positions at the lowest resolution, one per 16 x 16 pixels of the image.
        width: channels at the lowest resolution; each upsampling block halves them. Published: 128.
    """

    def __init__(self, semantic: int, cells: int, width: int = 128) -> None:
        super().__init__()
        self.width = width
        self.linear = nn.Linear(semantic, width * cells)
        widths = [width >> step for step in range(DOUBLINGS + 1)]
        doublings = [upsampling_block(before, after) for before, after in itertools.pairwise(widths)]
        self.doublings = nn.Sequential(*doublings, nn.Conv2d(widths[-1], 3, 3, padding=1, bias=False))

    def forward(self, semantics: Tensor, size: tuple[int, int]) -> Tensor:
        """Return (B, 3, H, W), unbounded, from semantics (B, semantic) and the size (H, W)."""
        shape = (self.width, size[0] >> DOUBLINGS, size[1] >> DOUBLINGS)
        features = torch.unflatten(torch.relu(self.linear(semantics)), 1, shape)
        decoded: Tensor = self.doublings(features)
        return decoded


class Generator(nn.Module):
    """Generates an adversarial image from an image and the semantics of a target.

    Args:
        semantic: length of the semantic vector.
        cells: positions at the decoder's lowest resolution, one per 16 x 16 pixels of the images.
        width: channels of the first convolution; the inner ones have four times as many. Published: 64.
        blocks: residual blocks. Published: 6.
        decoder_width: channels of the decoder at its lowest resolution.
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
