"""SDHA's loss, compared with values of the published code, and the effect of the attack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from retbench_attacks.iterative.sdha import SDHA, RelevantCodes, find_relevant_codes, surrogate_loss
from torch import Tensor, nn

from retbench import Ball, Batch, Dataset, Facts, Knowledge, Noise, TrainingData, sign

OUTPUTS = torch.arange(1, 25).float().sin().reshape(6, 4)
LABELS = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]]).float()
RELEVANT = (LABELS[:3] @ LABELS.T > 0).float()
RELEVANT_CODES = RelevantCodes(sign(OUTPUTS).float(), RELEVANT / RELEVANT.sum(dim=1, keepdim=True))


@pytest.mark.parametrize(
    ("targeted", "loss", "gradient"),
    [
        (False, -3914.961, [932.065, 907.189, 1609.961, -973.960]),
        (True, 1.478267, [-5.9e-5, 0.102804, 0.266489, 0.000182]),
    ],
)
def test_surrogate_has_the_published_values(targeted: bool, loss: float, gradient: list[float]) -> None:
    codes = OUTPUTS[:3].clone().requires_grad_()
    value = surrogate_loss(codes, RELEVANT_CODES, targeted).mean()
    assert value.item() == pytest.approx(loss, rel=1e-6)
    assert torch.autograd.grad(value, codes)[0][0].tolist() == pytest.approx(gradient, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("targeted", [False, True])
def test_surrogate_equals_a_loop_over_the_relevant_codes(targeted: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    relaxed, codes = torch.randn(5, 16, generator=draw).tanh(), sign(torch.randn(40, 16, generator=draw)).float()
    weights = (torch.rand(5, 40, generator=draw) < 0.3).float()
    weights /= weights.sum(dim=1, keepdim=True)
    expected = torch.stack([loop_over_codes(relaxed[row], codes[weights[row] > 0], targeted) for row in range(5)])
    assert torch.allclose(surrogate_loss(relaxed, RelevantCodes(codes, weights), targeted), expected, rtol=1e-5)


def loop_over_codes(relaxed: Tensor, codes: Tensor, targeted: bool) -> Tensor:
    terms = []
    for code in codes:
        hamming = float((sign(relaxed) != code).sum())
        gate = torch.sigmoid((-10 if targeted else 5) * relaxed * code)
        distance = (0.5 * (relaxed - code).abs() * gate).sum()
        if targeted:
            terms.append((hamming + 1e-8) ** 0.3 * distance)
        else:
            terms.append(-((hamming + 1e-8) ** -0.5) * (distance + (1 - gate).sum()))
    return torch.stack(terms).mean()


class LabelsOnly(Dataset):
    """A dataset of training labels without images."""

    def facts(self) -> Facts:
        return Facts("labels-only", (8, 8), ("a", "b", "c"), {"train": 30, "query": 0, "database": 0})

    def ids(self, split: str) -> list[str]:
        raise NotImplementedError

    def images(self, split: str, rows: object) -> Tensor:
        raise NotImplementedError

    def labels(self, split: str) -> Tensor:
        return torch.eye(3, dtype=torch.uint8)[torch.arange(30) % 2]


@pytest.fixture
def training_knowledge(knowledge: Knowledge) -> Knowledge:
    """The knowledge of SDHA: 30 training codes, of the first two of three classes."""
    training = TrainingData(LabelsOnly(), knowledge.facts, torch.device("cpu"))
    return replace(knowledge, data=training, grants={"training_codes": knowledge.grant("database_codes")})


def test_query_without_relevant_training_codes_uses_its_own_code(
    training_knowledge: Knowledge, queries: Callable[[int], Batch]
) -> None:
    batch = queries(3)
    relevant = find_relevant_codes(training_knowledge, batch, batch.labels)
    assert relevant.weights.sum(dim=1).tolist() == pytest.approx([1, 1, 1])
    assert relevant.weights[0].nonzero().flatten().tolist() == list(range(0, 30, 2))
    assert relevant.weights[2].nonzero().flatten().tolist() == [32], (
        "30 training codes, followed by the codes of the queries"
    )
    assert torch.equal(relevant.codes[32], sign(training_knowledge.network.image(batch.images))[2].float())


@pytest.mark.parametrize("targeted", [False, True])
def test_distance_to_relevant_codes_follows_the_goal(
    targeted: bool, training_knowledge: Knowledge, queries: Callable[[int], Batch]
) -> None:
    batch = queries(8)
    attack = SDHA(steps=40, eps=0.3, targeted=targeted)
    relevant = find_relevant_codes(training_knowledge, batch, batch.target_labels if targeted else batch.labels)
    images = attack.perturb(training_knowledge, batch, nn.Module(), Noise(0, batch.ids))

    def distance(pixels: Tensor) -> Tensor:
        hamming = (8 - sign(training_knowledge.network.image(pixels)).float() @ relevant.codes.T) / 2
        return (hamming * relevant.weights).sum(dim=1).mean()

    assert (distance(images) < distance(batch.images)) == targeted


def test_goal_and_ball_are_declared() -> None:
    assert (SDHA().goal, SDHA(targeted=True).goal) == ("untargeted", "targeted")
    assert (SDHA().ball, SDHA().steps) == (Ball("linf", 8 / 255), 1500)
