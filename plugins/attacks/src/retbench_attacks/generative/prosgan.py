"""ProS-GAN: a generator, trained against the attacked hasher, that redraws any query for any target in one pass.

Wang, Zhang, Wu, Shen and Lu 2021, "Prototype-supervised Adversarial Network for Targeted Attack of Deep Hashing", CVPR.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from retbench import Batch, Facts, Knowledge, Need, relax
from retbench_attacks.generative.generator_attack import GeneratorAttack
from retbench_attacks.generative.prosgan_networks import DOUBLINGS, Generator
from retbench_attacks.prototypes.prosgan_prototypes import ProsGanPrototypes
from retbench_attacks.prototypes.target_vectors import distinct_vectors


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
    lr: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate; falls linearly in the second half")
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

    def new_generator(self, facts: Facts) -> Generator:
        """Returns an untrained generator for images of this size."""
        return Generator(self.prototypes.semantic, facts.image_size, self.width, self.blocks, self.decoder_width)

    def candidates(self, knowledge: Knowledge) -> tuple[Tensor, ...]:
        return (distinct_vectors(knowledge.grant("database_labels")),)

    def aims(self, batch: Batch) -> tuple[Tensor, ...]:
        return (batch.target_labels.float(),)

    def distance(self, logits: Tensor, prototypes: Tensor) -> Tensor:
        return self.hamming_loss(relax(logits), prototypes.sign())

    def hamming_loss(self, codes: Tensor, prototypes: Tensor) -> Tensor:
        """Returns the mean distance of relaxed codes (B, K) to prototype codes in {-1, +1}, before its weight."""
        wrong = 1 - codes * prototypes
        return wrong.square().mean() if self.hamming_form == "squared" else wrong.mean()
