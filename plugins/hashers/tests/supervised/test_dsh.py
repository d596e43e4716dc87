"""DSH against a loss computed from all differences."""

from __future__ import annotations

import pytest
import torch
from retbench_hashers.supervised.dsh import DSH
from retbench_hashers.training import TrainingStep
from torch import Tensor

from retbench import State


def naive_loss(outputs: Tensor, labels: Tensor, memory: Tensor, quantization: float) -> Tensor:
    """Return the loss of the first rows, computed with a tensor of B x N x K."""
    distances = (outputs[:, None] - memory[None]).square().sum(dim=2)
    shared = (labels[: len(outputs), None] * labels[None]).sum(dim=2) > 0
    hinge = torch.relu(2 * outputs.shape[1] - distances)
    return torch.where(shared, distances, hinge).mean() / 2 + quantization * (1 - outputs.abs()).abs().mean()


@pytest.fixture
def inputs() -> State:
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(40, 5, generator=generator) < 0.2).to(torch.uint8)
    return {"labels": labels, "memory": 2 * torch.randn(40, 48, generator=generator)}


def test_loss_and_gradient_equal_those_of_the_naive_loss(inputs: State) -> None:
    memory, labels = inputs["memory"], inputs["labels"]
    outputs = (memory[:8] + 0.1).requires_grad_()
    loss = DSH(quantization=0.3).loss(outputs, labels, torch.arange(8), memory)
    expected = naive_loss(outputs, labels, memory, 0.3)
    torch.testing.assert_close(loss, expected)
    gradients = [torch.autograd.grad(value, outputs)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients)


def test_outputs_are_the_logits() -> None:
    logits = torch.linspace(-9, 9, 8)[None]
    assert torch.equal(DSH().outputs(logits, TrainingStep(3, 500)), logits)


def test_a_memory_row_without_a_visit_counts_as_dissimilar() -> None:
    labels = torch.ones(2, 1, dtype=torch.uint8)
    outputs = torch.full((1, 4), 0.5, requires_grad=True)
    memory = torch.cat([outputs.detach(), torch.zeros(1, 4)])
    loss = DSH(quantization=0).loss(outputs, labels, torch.tensor([0]), memory)
    assert float(loss.detach()) == pytest.approx((0 + 8 - 1) / 4)
    assert (torch.autograd.grad(loss, outputs)[0] < 0).all()
