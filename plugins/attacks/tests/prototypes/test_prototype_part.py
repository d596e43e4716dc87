"""The training of prototype networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from retbench_attacks.prototypes.prosgan_prototypes import ProsGanPrototypes
from retbench_attacks.prototypes.prototype_network import Prototypes
from retbench_attacks.prototypes.prototype_part import PrototypePart, quantization_loss
from retbench_attacks.prototypes.tha_prototypes import ThaPrototypes
from torch import Tensor

from retbench import Context, Facts, HashNetwork, Knowledge, Noise, State, TrainingData, sign
from retbench.testing import ToyDataset, check_component

BITS = 16
SMALL: dict[str, Any] = {"hidden": 32, "semantic": 16, "steps": 80, "batch_size": 32, "learning_rate": 1e-2}
PARTS = [ProsGanPrototypes(**SMALL), ThaPrototypes(**SMALL), ThaPrototypes(**SMALL, form="softplus", triangular=True)]


@pytest.fixture
def knowledge() -> Knowledge:
    """The knowledge of a prototype network; each training code is the majority of the codes of its classes."""
    dataset = ToyDataset()
    centers = torch.randn(3, BITS, generator=torch.Generator().manual_seed(0)).sign()
    codes = sign(dataset.labels("train").float() @ centers)
    facts = dataset.facts()
    facts = Facts(facts.dataset, facts.image_size, facts.classes, facts.sizes, bits=BITS)
    grants: Any = {"training_codes": codes, "database_labels": dataset.labels("database")}
    return Knowledge(HashNetwork(), facts, TrainingData(dataset, facts, torch.device("cpu")), grants)


def fit_part(part: PrototypePart, knowledge: Knowledge, curves: dict[str, Any] | None = None, **services: Any) -> State:
    torch.manual_seed(0)
    keep = {} if curves is None else curves
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), record=keep.__setitem__, **services)
    return part.fit(knowledge, ctx)


@pytest.mark.parametrize("part", PARTS, ids=["prosgan", "tha", "tha of saat"])
def test_prototypes_approach_similar_codes(part: PrototypePart, knowledge: Knowledge) -> None:
    network = part.module(fit_part(part, knowledge), torch.device("cpu"))
    labels = torch.eye(3)
    codes = sign(network(labels).codes).float() @ knowledge.grant("training_codes").float().T / BITS
    similar = labels @ knowledge.training.labels.float().T > 0
    assert float(codes[similar].mean()) > float(codes[~similar].mean()) + 0.5


@pytest.mark.parametrize("part", PARTS[:2], ids=str)
def test_training_is_reproducible(part: PrototypePart, knowledge: Knowledge) -> None:
    part = part.model_copy(update={"steps": 5})
    first, second = fit_part(part, knowledge), fit_part(part, knowledge)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_loss_decreases_and_is_recorded(knowledge: Knowledge) -> None:
    curves: dict[str, Any] = {}
    fit_part(PARTS[0], knowledge, curves)
    assert len(curves["loss"]) == 80
    assert curves["loss"][-1] < curves["loss"][0]


def test_long_training_records_a_part_of_its_losses(knowledge: Knowledge) -> None:
    curves: dict[str, Any] = {}
    fit_part(ProsGanPrototypes(hidden=1, semantic=1, steps=601, batch_size=1), knowledge, curves)
    assert len(curves["loss"]) == 201


def test_interrupted_training_resumes_to_the_same_weights(knowledge: Knowledge, tmp_path: Path) -> None:
    part = ProsGanPrototypes(hidden=4, semantic=4, steps=320, batch_size=4)
    curves: list[dict[str, Any]] = [{}, {}]
    steps: list[int] = []
    whole = fit_part(part, knowledge, curves[0])

    def interrupt(done: int, total: int) -> None:
        if done == total - 10:
            raise KeyboardInterrupt

    services: dict[str, Any] = {"checkpoints": tmp_path, "checkpoint_every": 0}
    with pytest.raises(KeyboardInterrupt):
        fit_part(part, knowledge, progress=interrupt, **services)
    resumed = fit_part(part, knowledge, curves[1], progress=lambda done, total: steps.append(done), **services)
    assert steps == list(range(310, 321))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert curves[1] == curves[0]


class DivergingPrototypes(ProsGanPrototypes):
    """A prototype network whose loss is infinite at the third step."""

    losses: ClassVar[list[float]] = []

    def loss(self, prototypes: Prototypes, labels: Tensor, training_codes: Tensor, similar: Tensor) -> Tensor:
        loss = super().loss(prototypes, labels, training_codes, similar)
        self.losses.append(loss.item())
        return loss / (0 if len(self.losses) == 3 else 1)


def test_training_stops_at_a_loss_that_is_not_finite(knowledge: Knowledge) -> None:
    DivergingPrototypes.losses.clear()
    with pytest.raises(ValueError, match="loss of step 3 is not finite: got inf; lower the learning rate"):
        fit_part(DivergingPrototypes(**SMALL), knowledge)


def test_module_has_the_sizes_of_the_weights(knowledge: Knowledge) -> None:
    part = ProsGanPrototypes(hidden=8, semantic=4, steps=3)
    network = part.module(fit_part(part, knowledge), torch.device("cpu"))
    assert not network.training
    assert not any(weight.requires_grad for weight in network.parameters())
    assert [tuple(out.shape) for out in network(torch.zeros(2, 3))] == [(2, 4), (2, BITS), (2, 3)]


def test_quantization_loss_is_summed_over_bits() -> None:
    assert quantization_loss(torch.full((5, 4), 0.5)).item() == pytest.approx(1.0)


@pytest.mark.parametrize("part", [ProsGanPrototypes(steps=2), ThaPrototypes(steps=2)], ids=str)
def test_part_fulfills_its_contract(part: PrototypePart) -> None:
    check_component(part)


def test_the_defaults_are_the_published_ones() -> None:
    part = ProsGanPrototypes()
    assert (part.hidden, part.semantic) == (4096, 512)
    assert (part.steps, part.batch_size, part.learning_rate) == (30_000, 64, 1e-4)
    assert (part.quantization, part.reconstruction) == (1e-4, 1.0)
    assert (ThaPrototypes().batch_size, ThaPrototypes().form, ThaPrototypes().quantization) == (32, "sum", 1e-4)
