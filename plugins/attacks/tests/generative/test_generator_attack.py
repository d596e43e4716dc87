"""What every attack by a trained generator shares: the schedule, and a training that diverges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from retbench_attacks.generative.generator_attack import GeneratorAttack, learning_rate_factor
from retbench_attacks.generative.prosgan import ProsGAN
from retbench_attacks.generative.tadch import TADCH
from retbench_attacks.prototypes.prosgan_prototypes import ProsGanPrototypes
from retbench_attacks.prototypes.tadch_prototypes import TadchPrototypes
from torch import Tensor

from retbench import Context, HashNetwork, Knowledge, Noise, TrainingData, sign
from retbench.testing import ToyDataset

BITS = 8
CPU = torch.device("cpu")
NETS: dict[str, Any] = {"width": 4, "blocks": 1, "critic_width": 4, "critic_depth": 2, "batch_size": 5}
ATTACKS = [
    ProsGAN(epochs=2, decoder_width=16, prototypes=ProsGanPrototypes(hidden=8, semantic=4, steps=2), **NETS),
    TADCH(epochs=1, decay_epochs=1, prototypes=TadchPrototypes(hidden=8, width=16, epochs=1), **NETS),
]


class Breaking(HashNetwork):
    """Mean colors, projected; not a number from a call on."""

    def __init__(self, breaks: int) -> None:
        super().__init__()
        self.calls, self.breaks = 0, breaks

    def image(self, images: Tensor) -> Tensor:
        self.calls += 1
        logits = images.mean(dim=(2, 3)).repeat(1, 3)[:, :BITS] - 0.5
        return logits * torch.nan if self.calls >= self.breaks else logits


class Torn(TrainingData):
    """Training images that are infinite from a request on."""

    requests = 0

    def images(self, rows: Any) -> Tensor:
        Torn.requests += 1
        return super().images(rows) / (0.0 if Torn.requests >= 3 else 1.0)


def fitted(attack: GeneratorAttack, breaks: int, data: type[TrainingData] = TrainingData) -> None:
    torch.manual_seed(0)
    dataset = ToyDataset(side=16)
    facts = replace(dataset.facts(), bits=BITS, task="i2i")
    codes = sign(Breaking(1000).image(TrainingData(dataset, facts, CPU).images(range(20))))
    grants: Any = {"training_codes": codes, "database_labels": dataset.labels("database")}
    knowledge = Knowledge(Breaking(breaks), facts, TrainingData(dataset, facts, CPU), grants)
    parts = {"prototypes": attack.prototypes.fit(knowledge, Context(CPU, "float32", Noise(0, ("fit",))))}
    attack.fit(replace(knowledge, data=data(dataset, facts, CPU)), Context(CPU, "float32", Noise(0, ("fit",)), parts))


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_it_stops_at_the_first_loss_that_is_not_finite(attack: GeneratorAttack) -> None:
    fitted(attack, breaks=1000)
    with pytest.raises(ValueError, match="generator loss of step 6 is not finite: got nan; lower the learning rate"):
        fitted(attack, breaks=6)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_it_stops_at_the_first_loss_of_the_discriminator_that_is_not_finite(attack: GeneratorAttack) -> None:
    Torn.requests = 0
    steady = attack.model_copy(update={"critic_every": 1})
    with pytest.raises(ValueError, match="critic loss of step 3 is not finite: got nan"):
        fitted(steady, breaks=1000, data=Torn)


def test_it_learns() -> None:
    assert ProsGAN.learns
    assert TADCH.learns


@pytest.mark.parametrize(("epoch", "rate"), [(0, 1.0), (49, 1.0), (50, 1 - 1 / 101), (149, 0.0099)])
def test_the_rate_falls_after_the_steady_epochs(epoch: int, rate: float) -> None:
    assert learning_rate_factor(epoch, steady=50, falling=100) == pytest.approx(rate, abs=1e-5)


def test_the_rate_without_falling_epochs_stays() -> None:
    assert [learning_rate_factor(epoch, steady=3, falling=0) for epoch in range(3)] == [1, 1, 1]
