"""Descent on a linear hasher, whose gradients are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retbench_attacks.iterative.dhta import DHTA
from retbench_attacks.iterative.hamming_descent import HammingDescent
from retbench_attacks.iterative.p2p import P2P
from torch import Tensor, nn

from retbench import Ball, Batch, Knowledge, Noise, relax

Queries = Callable[[int], Batch]


def run_attack(attack: HammingDescent, knowledge: Knowledge, batch: Batch, seed: int = 0) -> Tensor:
    return attack.perturb(knowledge, batch, nn.Module(), Noise(seed, batch.ids))


def draw_anchors(attack: HammingDescent, knowledge: Knowledge, batch: Batch, seed: int = 0) -> Tensor:
    return attack.compute_anchors(knowledge, batch, nn.Module(), Noise(seed, batch.ids)).float()


def expected_gradient(attack: HammingDescent, knowledge: Knowledge, batch: Batch, alpha: float) -> Tensor:
    """Return -(1/K) W' (anchor * alpha * (1 - tanh(alpha W x)^2)), in the shape of the images."""
    weight = knowledge.network.weight
    slope = alpha * (1 - torch.tanh(alpha * batch.images.flatten(1) @ weight.T) ** 2)
    return -((draw_anchors(attack, knowledge, batch) * slope) @ weight / len(weight)).reshape(batch.images.shape)


@pytest.mark.parametrize("update", ["sign", "l2", "raw"])
def test_one_step_matches_the_closed_form(update: Any, knowledge: Knowledge, queries: Queries) -> None:
    batch = queries(5)
    attack = DHTA(steps=1, eps=1.0, update=update, step_size=0.01, alpha="constant", alpha_value=0.3)
    gradient = expected_gradient(attack, knowledge, batch, 0.3)
    moves = {
        "sign": gradient.sign(),
        "l2": gradient / gradient.flatten(1).norm(dim=1)[:, None, None, None],
        "raw": gradient,
    }
    expected = (batch.images - 0.01 * moves[update]).clamp(0, 1)
    assert torch.allclose(run_attack(attack, knowledge, batch), expected, atol=1e-6)


@pytest.mark.parametrize(("update", "step"), [("sign", 0.01), ("l2", 1.0), ("raw", 1 / 32)])
def test_default_step_size_is_the_published_one(
    update: Any, step: float, knowledge: Knowledge, queries: Queries
) -> None:
    batch = queries(3)
    implied = run_attack(DHTA(steps=2, eps=0.08, update=update), knowledge, batch)
    given = run_attack(DHTA(steps=2, eps=0.08, update=update, step_size=step), knowledge, batch)
    assert torch.equal(implied, given)


@pytest.mark.parametrize("update", ["sign", "l2", "raw"])
def test_zero_gradient_gives_no_step(update: Any, knowledge: Knowledge, queries: Queries) -> None:
    knowledge.network.weight.zero_()
    batch = queries(2)
    assert torch.equal(run_attack(DHTA(steps=3, update=update), knowledge, batch), batch.images)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(eps=st.floats(1 / 255, 1.0), update=st.sampled_from(["sign", "l2", "raw"]), start=st.booleans())
def test_images_stay_in_the_ball_and_in_range(
    knowledge: Knowledge, queries: Queries, eps: float, update: Any, start: bool
) -> None:
    batch = queries(4)
    images = run_attack(DHTA(steps=5, eps=eps, update=update, step_size=1.0, random_start=start), knowledge, batch)
    assert float((images - batch.images).abs().max()) <= eps + 1e-6
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1


def test_clean_images_are_not_modified(knowledge: Knowledge, queries: Queries) -> None:
    batch = queries(2)
    before = batch.images.clone()
    run_attack(DHTA(steps=3), knowledge, batch)
    assert torch.equal(batch.images, before)


@pytest.mark.parametrize("attack", [P2P(steps=10, eps=0.1), DHTA(steps=10, eps=0.1, random_start=True)], ids=str)
def test_result_does_not_depend_on_the_batch(attack: HammingDescent, knowledge: Knowledge, queries: Queries) -> None:
    batch = queries(8)
    fields = [field for field in batch if field is not None]
    alone = [run_attack(attack, knowledge, Batch(*(field[row : row + 1] for field in fields))) for row in range(8)]
    assert torch.allclose(run_attack(attack, knowledge, batch), torch.cat(alone), atol=1e-6)


@pytest.mark.parametrize("attack", [P2P(steps=30, eps=0.2), DHTA(steps=30, eps=0.2)], ids=str)
def test_attack_lowers_its_loss(attack: HammingDescent, knowledge: Knowledge, queries: Queries) -> None:
    batch = queries(8)
    anchors = draw_anchors(attack, knowledge, batch)

    def agreement(images: Tensor) -> Tensor:
        return (anchors * relax(knowledge.network.image(images), 0.1)).mean(1)

    assert bool((agreement(run_attack(attack, knowledge, batch)) > agreement(batch.images)).all())


def test_anchor_of_p2p_is_the_code_of_one_item_with_the_target_labels(knowledge: Knowledge, queries: Queries) -> None:
    batch = queries(8)
    anchors = draw_anchors(P2P(), knowledge, batch)
    same_labels = (knowledge.grant("database_labels")[None] == batch.target_labels[:, None]).all(-1)
    same_code = (knowledge.grant("database_codes")[None] == anchors[:, None]).all(-1)
    assert bool((same_labels & same_code).any(1).all())


def test_another_seed_draws_other_anchors_and_starts(knowledge: Knowledge, queries: Queries) -> None:
    batch = queries(8)
    assert not torch.equal(draw_anchors(P2P(), knowledge, batch, seed=0), draw_anchors(P2P(), knowledge, batch, seed=1))
    attack = P2P(steps=1, random_start=True)
    assert not torch.equal(run_attack(attack, knowledge, batch, seed=0), run_attack(attack, knowledge, batch, seed=1))


def test_tasks_with_text_queries_are_refused(knowledge: Knowledge) -> None:
    reasons = {task: DHTA().supports(replace(knowledge.facts, task=task)) for task in ("i2i", "i2t", "t2i", "t2t")}
    assert {task for task, reason in reasons.items() if reason} == {"t2i", "t2t"}


def test_the_defaults_are_published_ones() -> None:
    assert DHTA().ball == P2P().ball == Ball("linf", 8 / 255)
    assert (P2P().steps, DHTA().steps, DHTA().anchors) == (500, 2000, 9)
