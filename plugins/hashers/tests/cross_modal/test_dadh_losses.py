"""The losses of DADH against golden values of the published code, and against their formulas in loops."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from retbench_hashers.cross_modal.dadh_losses import (
    adversarial_loss,
    discriminator_loss,
    gain_weights,
    gradient_penalty,
    hinge_sums,
    interpolate,
    quantization_loss,
    triplet_loss,
    update_codes,
)
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

LABELS = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [1, 0, 0]], dtype=torch.uint8)


def wave(rows: int, columns: int, down: float, across: float, phase: float) -> Tensor:
    """Return sin(down i + across j + phase), the inputs of the golden values."""
    return torch.sin(down * torch.arange(rows)[:, None] + across * torch.arange(columns) + phase)


IMAGES = torch.tanh(wave(6, 4, 0.7, 1.3, 0.2))
TEXTS = torch.tanh(wave(6, 4, 0.9, -0.8, 0.5))
CODES = wave(6, 4, 1.9, 0.6, 0.3).sign()


@pytest.mark.parametrize(
    ("anchors", "candidates", "weighted", "expected"),
    [(IMAGES, TEXTS, True, 205.8012), (TEXTS, IMAGES, True, 180.3317), (IMAGES, TEXTS, False, 41.1492)],
)
def test_the_triplet_loss_has_its_golden_values(
    anchors: Tensor, candidates: Tensor, weighted: bool, expected: float
) -> None:
    loss = triplet_loss(anchors, candidates, LABELS, 0.4, weighted=weighted)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def triplet_loss_in_loops(anchors: Tensor, candidates: Tensor, labels: Tensor, margin: float, weighted: bool) -> Tensor:
    """Return the published triplet loss, triplet by triplet, without a guard against division by 0."""
    terms = [torch.zeros(())]
    ideals = [ideal_gain(labels, row) for row in range(len(labels))]
    for i, j, k in itertools.product(range(len(labels)), repeat=3):
        positive, negative = (torch.tensor(shared(labels, i, other)) for other in (j, k))
        masked = float(positive > 0 and negative == 0)
        weights = [(2**count - 1) / ideals[i] for count in (positive, negative)]
        weight = 10 * 1.1 * 1.1 * (weights[0] - weights[1]) if weighted else torch.tensor(1.1)
        distances = [distance(anchors[i], candidates[other]) for other in (j, k)]
        terms.append(torch.relu(weight * masked * (distances[0] - distances[1] + margin)))
    return torch.stack(terms).sum()


def shared(labels: Tensor, one: int, other: int) -> float:
    return float(sum(a * b for a, b in zip(labels[one].tolist(), labels[other].tolist(), strict=True)))


def ideal_gain(labels: Tensor, row: int) -> Tensor:
    counts = sorted((shared(labels, row, other) for other in range(len(labels))), reverse=True)
    return torch.tensor(sum((2**count - 1) / math.log2(1 + rank) for rank, count in enumerate(counts, start=1)))


def distance(one: Tensor, other: Tensor) -> Tensor:
    return torch.relu(1 - one @ other / (one.square().sum().sqrt() * other.square().sum().sqrt()))


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("margin", [0.0, 0.4, 2.0])
def test_value_and_gradient_equal_those_of_the_loops(weighted: bool, margin: float) -> None:
    generator = torch.Generator().manual_seed(3)
    labels = (torch.rand(9, 4, generator=generator) < 0.4).to(torch.uint8)
    labels[:, 0] |= labels.sum(dim=1) == 0
    leaves = [torch.randn(9, 5, generator=generator).requires_grad_() for _ in range(2)]
    ours = triplet_loss(*leaves, labels, margin, weighted=weighted)
    expected = triplet_loss_in_loops(*leaves, labels, margin, weighted)
    torch.testing.assert_close(ours, expected)
    for gradient, expected_gradient in zip(
        torch.autograd.grad(ours, leaves), torch.autograd.grad(expected, leaves), strict=True
    ):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-5)


def test_an_anchor_without_labels_adds_nothing_although_the_published_loss_is_nan() -> None:
    labels = LABELS.clone()
    labels[3] = 0
    leaves = [codes.clone().requires_grad_() for codes in (IMAGES, TEXTS)]
    loss = triplet_loss(*leaves, labels, 0.4, weighted=True)
    assert triplet_loss_in_loops(*leaves, labels, 0.4, weighted=True).isnan()
    gradients = torch.autograd.grad(loss, leaves)
    assert loss > 0
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert not gradients[0][3].any(), "row 3 is not an anchor"
    assert gradients[1][3].any(), "row 3 is a negative of the others"


@pytest.mark.parametrize("rows", [1, 4])
def test_a_batch_without_labels_has_a_loss_of_zero(rows: int) -> None:
    leaves = [codes[:rows].clone().requires_grad_() for codes in (IMAGES, TEXTS)]
    loss = triplet_loss(*leaves, torch.zeros(rows, 3, dtype=torch.uint8), 0.4, weighted=True)
    assert loss.item() == 0
    assert all(not gradient.any() for gradient in torch.autograd.grad(loss, leaves))


def test_zero_codes_have_a_finite_gradient() -> None:
    leaves = [torch.zeros(6, 4, requires_grad=True) for _ in range(2)]
    loss = triplet_loss(*leaves, LABELS, 0.4, weighted=True)
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, leaves))


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor created."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = function(*args, **(kwargs or {}))
        sizes = [tensor.numel() for tensor in tree_leaves(results) if isinstance(tensor, Tensor)]
        self.elements = max([self.elements, *sizes])
        return results


def test_no_tensor_is_larger_than_the_square_of_the_batch() -> None:
    torch.manual_seed(0)
    leaves = [torch.randn(200, 8, requires_grad=True) for _ in range(2)]
    with LargestTensor() as largest:
        loss = triplet_loss(*leaves, torch.eye(5, dtype=torch.uint8).repeat(40, 1), 0.4, weighted=True)
        torch.autograd.grad(loss, leaves)
    assert 200**2 <= largest.elements <= 200 * 201


def test_gain_weights_are_gains_divided_by_the_golden_ideal_gains() -> None:
    common = LABELS.float() @ LABELS.float().T
    ideals = torch.tensor([2.13093, 2.13093, 4.94846, 1.63093, 4.56161, 2.13093])
    torch.testing.assert_close(gain_weights(common), (2**common - 1) / ideals[:, None], rtol=1e-5, atol=1e-6)


def test_hinge_sums_are_over_the_negatives_within_the_margin() -> None:
    distances = torch.tensor([[0.1, 0.3, 0.6, 0.2], [0.5, 0.5, 0.5, 0.5]])
    negative = torch.tensor([[False, True, True, True], [False, False, False, False]])
    expected = torch.tensor([[0.2 + 0.3, 0.4 + 0.1 + 0.5, 0.7 + 0.4 + 0.8, 0.3 + 0.4], [0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(hinge_sums(distances, negative, 0.4), expected)


def test_the_quantization_loss_has_its_golden_value() -> None:
    assert quantization_loss(CODES, IMAGES, TEXTS).item() == pytest.approx(60.9459, rel=1e-6)


def golden_discriminator() -> nn.Sequential:
    hidden, last = nn.Linear(3, 4), nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        hidden.weight.copy_(wave(4, 3, 0.5, 0.9, 0.3))
        hidden.bias.copy_(wave(1, 4, 0, 0.3, 0.2)[0])
        last.weight.copy_(wave(1, 4, 0, 0.8, 0.6))
    return nn.Sequential(hidden, nn.ReLU(), last)


def test_the_gradient_penalty_has_its_golden_value() -> None:
    discriminator, points = golden_discriminator(), wave(2, 3, 0.4, 0.7, 0.1)
    assert discriminator(points).flatten().tolist() == pytest.approx([4.02398, 5.13011], abs=1e-5)
    penalty = 10 * gradient_penalty(discriminator, points)
    assert penalty.item() == pytest.approx(40.3768, rel=1e-5)
    gradients = torch.autograd.grad(penalty, list(discriminator.parameters()), allow_unused=True)
    assert gradients[0].abs().sum() > 0
    assert gradients[2].abs().sum() > 0


def test_a_constant_discriminator_has_a_finite_penalty() -> None:
    flat = golden_discriminator()
    nn.init.zeros_(flat[2].weight)
    penalty = gradient_penalty(flat, wave(2, 3, 0.4, 0.7, 0.1))
    assert penalty.item() == 1
    (gradient,) = torch.autograd.grad(penalty, flat[2].weight)
    assert gradient.isfinite().all()


def test_interpolation_draws_one_share_per_element_or_per_sample() -> None:
    torch.manual_seed(0)
    images, texts = torch.ones(50, 4), torch.zeros(50, 4)
    by_sample, by_element = (interpolate(images, texts, interpolation) for interpolation in ("sample", "element"))
    assert torch.equal(by_sample, by_sample[:, :1].expand(50, 4))
    assert len(by_sample.unique()) == 50
    assert len(by_element.unique()) == 200
    assert 0 <= by_element.min() < 0.1
    assert 0.9 < by_element.max() < 1


def test_the_discriminator_loss_is_cross_entropy_plus_penalty() -> None:
    discriminator, images, texts = golden_discriminator(), wave(5, 3, 0.3, 0.2, 0.1), wave(5, 3, 0.8, 0.4, 0.9)
    torch.manual_seed(4)
    loss = discriminator_loss(discriminator, images, texts, weight=0.5, penalty=10, interpolation="element")
    torch.manual_seed(4)
    share = torch.rand(5, 3)
    points = (share * images + (1 - share) * texts).requires_grad_()
    (gradients,) = torch.autograd.grad(discriminator(points).sum(), points)
    entropy = -torch.log(torch.sigmoid(discriminator(images))).mean()
    entropy = entropy - torch.log(1 - torch.sigmoid(discriminator(texts))).mean()
    expected = 0.5 * entropy + 10 * (gradients.square().sum(dim=1).sqrt() - 1).square().mean()
    torch.testing.assert_close(loss, expected)


def test_the_adversarial_loss_of_a_text_taken_for_an_image_is_zero() -> None:
    assert adversarial_loss(torch.tensor([[40.0], [40.0]])).item() == pytest.approx(0, abs=1e-12)
    assert adversarial_loss(torch.tensor([[0.0], [0.0]])).item() == pytest.approx(math.log(2))
    assert adversarial_loss(torch.tensor([[-200.0]])).item() == pytest.approx(200)


def test_update_codes_has_its_golden_values() -> None:
    expected = [[-1, -1, -1, -1], [1, 1, -1, -1], [1, -1, -1, -1], [-1, 1, 1, 1], [1, 1, 1, -1], [-1, -1, -1, -1]]
    assert update_codes(CODES, LABELS, IMAGES + TEXTS, ridge=1, share=1e-5).tolist() == expected


def test_outputs_are_weighted_by_their_share() -> None:
    """P of the first class is known to five digits; an output that outweighs it flips the bits of its row."""
    outputs, projection = torch.zeros(6, 4), torch.tensor([-0.34146, -0.29268, -0.14634, -0.04878])
    for factor, bits in ((0.999, [-1, -1, -1, -1]), (1.001, [1, 1, 1, 1])):
        outputs[0] = -factor * projection / 0.05
        assert update_codes(CODES, LABELS, outputs, ridge=1, share=0.1)[0].tolist() == bits


def test_codes_of_rows_without_labels_follow_their_outputs() -> None:
    labels = LABELS.clone()
    labels[2] = 0
    outputs = torch.zeros(6, 4)
    outputs[2] = torch.tensor([0.3, -0.2, 0.0, -1.0])
    updated = update_codes(CODES, labels, outputs, ridge=1, share=1e-5)
    assert updated[2].tolist() == [1, -1, 1, -1]
    assert torch.equal(updated[0], updated[5]), "rows with equal label vectors have equal codes"


def test_many_shared_classes_do_not_overflow() -> None:
    common = torch.tensor([[200.0, 199.0, 0.0], [3.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    weights = gain_weights(common)
    ideal = 1 + 0.5 / torch.log2(torch.tensor(3.0))
    torch.testing.assert_close(weights[0], torch.tensor([1.0, 0.5, 0.0]) / ideal)
    torch.testing.assert_close(weights[1], torch.tensor([7.0, 3.0, 0.0]) / (7 + 3 / torch.log2(torch.tensor(3.0))))
    assert not weights[2].any()
