"""The learning rate schedule and the check for finite losses of generator attacks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from retbench_attacks.generative.generator_attack import GeneratorAttack, _GeneratorTraining, learning_rate_factor
from retbench_attacks.generative.prosgan import ProsGAN
from retbench_attacks.generative.tadch import TADCH
from retbench_attacks.prototypes.prosgan_prototypes import ProsGanPrototypes
from retbench_attacks.prototypes.tadch_prototypes import TadchPrototypes
from torch import Tensor

from retbench import Context, HashNetwork, Knowledge, Noise, TrainingData, sign
from retbench.testing import ToyDataset

BITS = 8
CPU = torch.device("cpu")
NETWORK_OPTIONS: dict[str, Any] = {"width": 4, "blocks": 1, "critic_width": 4, "critic_depth": 2, "batch_size": 5}
ATTACKS = [
    ProsGAN(epochs=2, decoder_width=16, prototypes=ProsGanPrototypes(hidden=8, semantic=4, steps=2), **NETWORK_OPTIONS),
    TADCH(epochs=1, decay_epochs=1, prototypes=TadchPrototypes(hidden=8, width=16, epochs=1), **NETWORK_OPTIONS),
]


class DivergingHasher(HashNetwork):
    """A hasher of mean colors whose logits are NaN from a given call on."""

    def __init__(self, first_nan_call: int) -> None:
        super().__init__()
        self.calls, self.first_nan_call = 0, first_nan_call

    def image(self, images: Tensor) -> Tensor:
        self.calls += 1
        logits = images.mean(dim=(2, 3)).repeat(1, 3)[:, :BITS] - 0.5
        return logits * torch.nan if self.calls >= self.first_nan_call else logits


class DivergingTrainingData(TrainingData):
    """Training images that are infinite from the third request on."""

    requests = 0

    def images(self, rows: Any) -> Tensor:
        DivergingTrainingData.requests += 1
        return super().images(rows) / (0.0 if DivergingTrainingData.requests >= 3 else 1.0)


def fit_attack(
    attack: GeneratorAttack, first_nan_call: int, data: type[TrainingData] = TrainingData, **services: Any
) -> None:
    torch.manual_seed(0)
    dataset = ToyDataset(side=16)
    facts = replace(dataset.facts(), bits=BITS, task="i2i")
    codes = sign(DivergingHasher(1000).image(TrainingData(dataset, facts, CPU).images(range(20))))
    grants: Any = {"training_codes": codes, "database_labels": dataset.labels("database")}
    knowledge = Knowledge(DivergingHasher(first_nan_call), facts, TrainingData(dataset, facts, CPU), grants)
    parts = {"prototypes": attack.prototypes.fit(knowledge, Context(CPU, "float32", Noise(0, ("fit",))))}
    ctx = Context(CPU, "float32", Noise(0, ("fit",)), parts, **services)
    attack.fit(replace(knowledge, data=data(dataset, facts, CPU)), ctx)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_training_stops_at_a_generator_loss_that_is_not_finite(attack: GeneratorAttack) -> None:
    fit_attack(attack, first_nan_call=1000)
    with pytest.raises(ValueError, match="generator loss of step 6 is not finite: got nan; lower the learning rate"):
        fit_attack(attack, first_nan_call=6)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_training_stops_at_a_discriminator_loss_that_is_not_finite(attack: GeneratorAttack) -> None:
    DivergingTrainingData.requests = 0
    every_step = attack.model_copy(update={"critic_every": 1})
    with pytest.raises(ValueError, match="discriminator loss of step 3 is not finite: got nan"):
        fit_attack(every_step, first_nan_call=1000, data=DivergingTrainingData)


@pytest.mark.parametrize(
    ("rising", "start"),
    [
        ("reconstruction", ["its training diverged: reconstruction and distance to the code rose from "]),
        ("hamming", ["its training diverged: reconstruction and distance to the code rose from "]),
        ("adversarial", []),
        ("none", []),
    ],
)
def test_a_generator_whose_own_losses_rise_has_a_caveat(
    rising: str, start: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adversarial loss may rise, because the discriminator gets better."""
    compute, calls = _GeneratorTraining._generator_losses, 0

    def raise_one(self: _GeneratorTraining, *inputs: Tensor) -> dict[str, Tensor]:
        nonlocal calls
        calls += 1
        losses = compute(self, *inputs)
        return {name: loss + calls * (name == rising) for name, loss in losses.items()}

    monkeypatch.setattr(_GeneratorTraining, "_generator_losses", raise_one)
    caveats: list[str] = []
    attack = ATTACKS[0].model_copy(update={"learning_rate": 2e-3, "epochs": 20})
    fit_attack(attack, first_nan_call=10_000, distrust=caveats.append)
    assert [caveat[: len(start[0])] for caveat in caveats] == start


def test_generator_attacks_are_declared_as_learned() -> None:
    assert ProsGAN.learns
    assert TADCH.learns


@pytest.mark.parametrize(("epoch", "rate"), [(0, 1.0), (49, 1.0), (50, 1 - 1 / 101), (149, 0.0099)])
def test_learning_rate_decays_after_the_constant_epochs(epoch: int, rate: float) -> None:
    assert learning_rate_factor(epoch, constant_epochs=50, decay_epochs=100) == pytest.approx(rate, abs=1e-5)


def test_learning_rate_without_decay_epochs_is_constant() -> None:
    assert [learning_rate_factor(epoch, constant_epochs=3, decay_epochs=0) for epoch in range(3)] == [1, 1, 1]
