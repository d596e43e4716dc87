"""TA-DCH: a generator that redraws an image query for the labels and the text of a target.

Wang, Zhu, Zhang, Zhang and Han 2023, "Targeted Adversarial Attack against Deep Cross-modal Hashing Retrieval", IEEE
Transactions on Circuits and Systems for Video Technology.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from retbench import Batch, Facts, Knowledge, Need, relax
from retbench_attacks.generative.generator_attack import GeneratorAttack
from retbench_attacks.generative.tadch_networks import SIDES, Generator
from retbench_attacks.prototypes.tadch_prototypes import TadchPrototypes


class TADCH(GeneratorAttack):
    """Aims at the code p in (-1, 1) of a target's labels and text; its distance is 1 - mean F(x') p.

    F is the attacked hasher's relaxed code; the published attack on DCMH takes its unbounded outputs:
    `{victim_output: logits}`. While it trains, targets are training rows, drawn uniformly with replacement.

    `reconstruction` is the code's. RetPur chose it between 1 and 5000 for each attacked hasher and does not say which.
    The code trains for 50 epochs by default, which is `{decay_epochs: 0}`; the example in its documentation for 50 and
    100 more, which are the defaults here. RetPur gives 150 in its section 4 and 100 in its appendix E.
    """

    name: ClassVar[str] = "tadch"
    source: ClassVar[str] = "Wang et al. 2023; networks and training as in the code of TA-DCH, weights as in RetPur"
    needs: ClassVar[frozenset[Need]] = frozenset({"training", "target_texts"})

    reconstruction: float = Field(150.0, ge=0, description="weight of the squared change, images in [-1, 1] (epsilon)")
    hamming: float = Field(5.0, ge=0, description="weight of the distance to the prototype code (mu)")
    adversarial: float = Field(1.0, ge=0, description="weight of the discriminator's verdict (nu)")
    victim_output: Literal["relaxed", "logits"] = Field(
        "relaxed", description="what of the hasher the distance is taken of: tanh of its logits, or those themselves"
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
        if height != width or height not in SIDES:
            sides = ", ".join(map(str, sorted(SIDES)))
            return f"the generator does not fit the image size: got {height}x{width}, expected a square of {sides}"
        return super().supports(facts)

    def new_generator(self, facts: Facts) -> Generator:
        """Returns an untrained generator for images of this size."""
        return Generator(self.prototypes.width, facts.image_size[0], self.width, self.blocks)

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
