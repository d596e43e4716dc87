"""JDSH against values of its published code."""

from __future__ import annotations

import pytest
import torch
from retbench_hashers.cross_modal.jdsh import JDSH
from torch import Tensor


def grid(rows: int, columns: int, a: float, b: float, c: float) -> Tensor:
    """Return sin(a i + b j + c), float32 (rows, columns)."""
    return (a * torch.arange(rows)[:, None] + b * torch.arange(columns) + c).sin()


FEATURES, TEXTS = grid(8, 5, 0.5, 1.1, 0.1).abs(), grid(8, 6, 1.2, 0.4, 0.9).abs()
IMAGE_CODES, TEXT_CODES = grid(8, 4, 0.7, 1.3, 0.2).tanh(), grid(8, 4, 0.9, -0.8, 0.5).tanh()


def test_similarity_and_loss_equal_those_of_the_published_code() -> None:
    hasher = JDSH()
    assert hasher.thresholds == pytest.approx((-0.528, -0.138))
    similarity = hasher.similarity(FEATURES, TEXTS)
    torch.testing.assert_close(similarity[0, :4], torch.tensor([1.67859, 1.37113, 1.03136, 0.82871]), rtol=0, atol=1e-5)
    images, texts = IMAGE_CODES.clone().requires_grad_(), TEXT_CODES.clone().requires_grad_()
    loss = hasher.similarity_loss(images, texts, similarity)
    assert float(loss.detach()) == pytest.approx(4.385344, abs=1e-5)
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(loss, [images, texts]))


def test_clear_cases_are_amplified_and_the_others_only_scaled() -> None:
    """The share of S_T is 0, and the angles of the features give s below, between and above the thresholds."""
    angles = torch.tensor([0.0, 0.6, 1.4, 2.8])
    features = torch.stack([angles.cos(), angles.sin()], dim=1)
    options = {"image_share": 1, "text_share": 0, "high_order": 0, "lowest": -3, "highest": 1}
    thresholds = {"left_location": -2, "left_scale": 0.25, "right_location": 0, "right_scale": 0.05}
    found = JDSH.create({**options, **thresholds}).similarity(features, torch.ones(4, 1))[0]
    expected = []
    for angle in angles.tolist():
        s = 2 * float(torch.tensor(angle).cos()) - 1
        if s < -2.5:
            s = s * (1 + 0.1 * float(torch.tensor(-(s + 3)).exp()))
        elif s > 0.2:
            s = s * (1 + 0.2 * float(torch.tensor(s - 1).exp()))
        expected.append(1.4 * s)
    assert float(found[3]) < 1.4 * (2 * float(angles[3].cos()) - 1)
    torch.testing.assert_close(found, torch.tensor(expected))


def test_a_pair_of_zero_features_and_an_empty_text_has_a_finite_similarity() -> None:
    features, texts = FEATURES.clone(), TEXTS.clone()
    features[0], texts[0] = 0, 0
    similarity = JDSH().similarity(features, texts)
    assert torch.isfinite(similarity).all()
    torch.testing.assert_close(similarity, similarity.T)


def test_features_are_normalized_before_the_head_on_request() -> None:
    for unit in (False, True):
        torch.manual_seed(0)
        head = JDSH(unit_features=unit).image_head(5, 4)
        with torch.no_grad():
            equal = torch.allclose(head(FEATURES), head(7 * FEATURES), atol=1e-6)
            assert torch.isfinite(head(torch.zeros(1, 5))).all()
        assert equal == unit


def test_features_are_cached_and_the_warm_up_uses_texts() -> None:
    assert JDSH.cached == "backbone"
    assert JDSH().warmup == "texts"
