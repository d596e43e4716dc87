"""Descent on a linear hasher, where every gradient is known."""

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


def attacked(attack: HammingDescent, knowledge: Knowledge, batch: Batch, seed: int = 0) -> Tensor:
    return attack.perturb(knowledge, batch, nn.Module(), Noise(seed, batch.ids))


def aim(attack: HammingDescent, knowledge: Knowledge, batch: Batch, seed: int = 0) -> Tensor:
    return attack.aim(knowledge, batch, nn.Module(), Noise(seed, batch.ids)).float()


def gradient_by_hand(attack: HammingDescent, knowledge: Knowledge, batch: Batch, alpha: float) -> Tensor:
    """Return -(1/K) W' (anchor * alpha * (1 - tanh(alpha W x)^2)), in the shape of the images."""
    weight = knowledge.network.weight
    slope = alpha * (1 - torch.tanh(alpha * batch.images.flatten(1) @ weight.T) ** 2)
    return -((aim(attack, knowledge, batch) * slope) @ weight / len(weight)).reshape(batch.images.shape)


@pytest.mark.parametrize("update", ["sign", "l2", "raw"])
def test_one_step_is_the_closed_form(update: Any, knowledge: Knowledge, queries: Queries) -> None:
    batch = queries(5)
    attack = DHTA(steps=1, eps=1.0, update=update, step_size=0.01, alpha="constant", alpha_value=0.3)
    gradient = gradient_by_hand(attack, knowledge, batch, 0.3)
    moves = {
        "sign": gradient.sign(),
        "l2": gradient / gradient.flatten(1).norm(dim=1)[:, None, None, None],
        "raw": gradient,
    }
    expected = (batch.images - 0.01 * moves[update]).clamp(0, 1)
    assert torch.allclose(attacked(attack, knowledge, batch), expected, atol=1e-6)


@pytest.mark.parametrize(("update", "step"), [("sign", 0.01), ("l2", 1.0), ("raw", 1 / 32)])
def test_a_step_that_is_not_given_is_the_published_one(
    update: Any, step: float, knowledge: Knowledge, queries: Queries
) -> None:
    batch = queries(3)
    implied = attacked(DHTA(steps=2, eps=0.08, update=update), knowledge, batch)
    given = attacked(DHTA(steps=2, eps=0.08, update=update, step_size=step), knowledge, batch)
    assert torch.equal(implied, given)


@pytest.mark.parametrize("update", ["sign", "l2", "raw"])
def test_a_zero_gradient_takes_no_step(update: Any, knowledge: Knowledge, queries: Queries) -> None:
    knowledge.network.weight.zero_()
    batch = queries(2)
    assert torch.equal(attacked(DHTA(steps=3, update=update), knowledge, batch), batch.images)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(eps=st.floats(1 / 255, 1.0), update=st.sampled_from(["sign", "l2", "raw"]), start=st.booleans())
def test_images_stay_in_the_ball_and_in_range(
    knowledge: Knowledge, queries: Queries, eps: float, update: Any, start: bool
) -> None:
    batch = queries(4)
    images = attacked(DHTA(steps=5, eps=eps, update=update, step_size=1.0, random_start=start), knowledge, batch)
    assert float((images - batch.images).abs().max()) <= eps + 1e-6
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1


def test_the_clean_images_are_left_alone(knowledge: Knowledge, queries: Queries) -> None:
    batch = queries(2)
    before = batch.images.clone()
    attacked(DHTA(steps=3), knowledge, batch)
    assert torch.equal(batch.images, before)


@pytest.mark.parametrize("attack", [P2P(steps=10, eps=0.1), DHTA(steps=10, eps=0.1, random_start=True)], ids=str)
def test_a_query_is_attacked_alike_in_any_batch(attack: HammingDescent, knowledge: Knowledge, queries: Queries) -> None:
    batch = queries(8)
    fields = [field for field in batch if field is not None]
    alone = [attacked(attack, knowledge, Batch(*(field[row : row + 1] for field in fields))) for row in range(8)]
    assert torch.allclose(attacked(attack, knowledge, batch), torch.cat(alone), atol=1e-6)


@pytest.mark.parametrize("attack", [P2P(steps=30, eps=0.2), DHTA(steps=30, eps=0.2)], ids=str)
def test_it_lowers_its_loss(attack: HammingDescent, knowledge: Knowledge, queries: Queries) -> None:
    batch = queries(8)
    anchors = aim(attack, knowledge, batch)

    def agreement(images: Tensor) -> Tensor:
        return (anchors * relax(knowledge.network.image(images), 0.1)).mean(1)

    assert bool((agreement(attacked(attack, knowledge, batch)) > agreement(batch.images)).all())


def test_the_anchor_of_p2p_is_one_items_code(knowledge: Knowledge, queries: Queries) -> None:
    batch = queries(8)
    anchors = aim(P2P(), knowledge, batch)
    carried = (knowledge.grant("database_labels")[None] == batch.target_labels[:, None]).all(-1)
    same = (knowledge.grant("database_codes")[None] == anchors[:, None]).all(-1)
    assert bool((carried & same).any(1).all())


def test_another_seed_draws_other_anchors_and_starts(knowledge: Knowledge, queries: Queries) -> None:
    batch = queries(8)
    assert not torch.equal(aim(P2P(), knowledge, batch, seed=0), aim(P2P(), knowledge, batch, seed=1))
    attack = P2P(steps=1, random_start=True)
    assert not torch.equal(attacked(attack, knowledge, batch, seed=0), attacked(attack, knowledge, batch, seed=1))


def test_text_queries_have_no_pixels_to_perturb(knowledge: Knowledge) -> None:
    reasons = {task: DHTA().supports(replace(knowledge.facts, task=task)) for task in ("i2i", "i2t", "t2i", "t2t")}
    assert {task for task, reason in reasons.items() if reason} == {"t2i", "t2t"}


def test_the_defaults_are_published_ones() -> None:
    assert DHTA().ball == P2P().ball == Ball("linf", 8 / 255)
    assert (P2P().steps, DHTA().steps, DHTA().anchors) == (500, 2000, 9)
