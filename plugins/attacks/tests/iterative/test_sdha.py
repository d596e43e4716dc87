"""SDHA's surrogate against the published code's values, and what the attack does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from retbench_attacks.iterative.sdha import SDHA, RelevantCodes, find_relevant_codes, surrogate
from torch import Tensor, nn

from retbench import Ball, Batch, Dataset, Facts, Knowledge, Noise, TrainingData, sign

OUTPUTS = torch.arange(1, 25).float().sin().reshape(6, 4)
LABELS = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]]).float()
RELEVANT = (LABELS[:3] @ LABELS.T > 0).float()
ANSWERS = RelevantCodes(sign(OUTPUTS).float(), RELEVANT / RELEVANT.sum(dim=1, keepdim=True))


@pytest.mark.parametrize(
    ("targeted", "loss", "gradient"),
    [
        (False, -3914.961, [932.065, 907.189, 1609.961, -973.960]),
        (True, 1.478267, [-5.9e-5, 0.102804, 0.266489, 0.000182]),
    ],
)
def test_the_published_surrogates(targeted: bool, loss: float, gradient: list[float]) -> None:
    codes = OUTPUTS[:3].clone().requires_grad_()
    value = surrogate(codes, ANSWERS, targeted).mean()
    assert value.item() == pytest.approx(loss, rel=1e-6)
    assert torch.autograd.grad(value, codes)[0][0].tolist() == pytest.approx(gradient, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("targeted", [False, True])
def test_two_matrix_products_give_what_a_loop_over_answers_does(targeted: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    relaxed, codes = torch.randn(5, 16, generator=draw).tanh(), sign(torch.randn(40, 16, generator=draw)).float()
    shares = (torch.rand(5, 40, generator=draw) < 0.3).float()
    shares /= shares.sum(dim=1, keepdim=True)
    expected = torch.stack([by_hand(relaxed[row], codes[shares[row] > 0], targeted) for row in range(5)])
    assert torch.allclose(surrogate(relaxed, RelevantCodes(codes, shares), targeted), expected, rtol=1e-5)


def by_hand(relaxed: Tensor, codes: Tensor, targeted: bool) -> Tensor:
    terms = []
    for code in codes:
        apart = float((sign(relaxed) != code).sum())
        turn = torch.sigmoid((-10 if targeted else 5) * relaxed * code)
        distance = (0.5 * (relaxed - code).abs() * turn).sum()
        if targeted:
            terms.append((apart + 1e-8) ** 0.3 * distance)
        else:
            terms.append(-((apart + 1e-8) ** -0.5) * (distance + (1 - turn).sum()))
    return torch.stack(terms).mean()


class Labeled(Dataset):
    """Training labels, and no pictures."""

    def facts(self) -> Facts:
        raise NotImplementedError

    def ids(self, split: str) -> list[str]:
        raise NotImplementedError

    def images(self, split: str, rows: object) -> Tensor:
        raise NotImplementedError

    def labels(self, split: str) -> Tensor:
        return torch.eye(3, dtype=torch.uint8)[torch.arange(30) % 2]


@pytest.fixture
def known(knowledge: Knowledge) -> Knowledge:
    """What SDHA needs: 30 training codes of the first two of three classes."""
    training = TrainingData(Labeled(), knowledge.facts, torch.device("cpu"))
    return replace(knowledge, data=training, grants={"training_codes": knowledge.grant("database_codes")})


def test_a_query_without_relevant_training_images_answers_itself(
    known: Knowledge, queries: Callable[[int], Batch]
) -> None:
    batch = queries(3)
    answers = find_relevant_codes(known, batch, batch.labels)
    assert answers.shares.sum(dim=1).tolist() == pytest.approx([1, 1, 1])
    assert answers.shares[0].nonzero().flatten().tolist() == list(range(0, 30, 2))
    assert answers.shares[2].nonzero().flatten().tolist() == [32], "30 training codes, then the queries' own"
    assert torch.equal(answers.codes[32], sign(known.network.image(batch.images))[2].float())


@pytest.mark.parametrize("targeted", [False, True])
def test_it_moves_as_its_goal_says(targeted: bool, known: Knowledge, queries: Callable[[int], Batch]) -> None:
    batch = queries(8)
    attack = SDHA(steps=40, eps=0.3, targeted=targeted)
    answers = find_relevant_codes(known, batch, batch.target_labels if targeted else batch.labels)
    images = attack.perturb(known, batch, nn.Module(), Noise(0, batch.ids))

    def distance(pixels: Tensor) -> Tensor:
        apart = (8 - sign(known.network.image(pixels)).float() @ answers.codes.T) / 2
        return (apart * answers.shares).sum(dim=1).mean()

    assert (distance(images) < distance(batch.images)) == targeted


def test_it_declares_what_it_is() -> None:
    assert (SDHA().goal, SDHA(targeted=True).goal) == ("untargeted", "targeted")
    assert (SDHA().ball, SDHA().steps) == (Ball("linf", 8 / 255), 1500)
