"""DCMH's loss, schedule and training against the formulas of its paper, computed in loops over pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from retbench_hashers.backbones.conv import Conv
from retbench_hashers.backbones.features import Features
from retbench_hashers.cross_modal.cross_modal_hasher import CrossModalNetwork
from retbench_hashers.cross_modal.dcmh import DCMH, Memory
from torch import Tensor, nn

from retbench import Context, Noise, State, TrainingData, sign
from retbench.testing import ToyDataset

CPU = torch.device("cpu")
BITS = 4
TINY = {"hidden": 6, "epochs": 2, "batch_size": 8, "learning_rate": 0.5, "last_learning_rate": 0.1}


class IncompleteDataset(ToyDataset):
    """A dataset whose first training item has no text and whose second has no label."""

    def texts(self, split: Any, rows: Sequence[int]) -> Tensor:
        return super().texts(split, rows) * (torch.tensor(list(rows)) > 0)[:, None]

    def labels(self, split: Any) -> Tensor:
        labels = super().labels(split)
        labels[1:2] = 0
        return labels


def training_data(rows: int = 20) -> TrainingData:
    dataset = IncompleteDataset(side=16, database=2 * rows)
    return TrainingData(dataset, replace(dataset.facts(), bits=BITS), CPU)


class Smooth(Features):
    """A smooth backbone, whose gradients do not depend on rounding."""

    width, min_side = 12, 16

    def __init__(self) -> None:
        super().__init__()
        self.lower, self.hidden = nn.Linear(3 * 16 * 16, 10), nn.Linear(10, self.width)

    def forward(self, images: Tensor) -> Tensor:
        return self.hidden(self.lower(images.flatten(1)).tanh()).tanh()


class SmoothDCMH(DCMH):
    def initial_network(self, data: TrainingData, ctx: Context) -> CrossModalNetwork:
        return self.build_network(Smooth().requires_grad_(False).eval(), data.facts.text_width, data.facts.bits)


CONTEXT = Context(CPU, "float32", Noise(0, ("fit",)))


def fit(hasher: DCMH, rows: int = 20, **services: Any) -> State:
    torch.manual_seed(5)
    return hasher.fit(training_data(rows), replace(CONTEXT, **services))


def loss_in_loops(f: Tensor, rows: list[int], own: Tensor, other: Tensor, codes: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of outputs f (b, K) of `rows` with gamma = eta = 1, computed in loops over pairs."""
    total = torch.zeros(())
    for i, row in enumerate(rows):
        for j in range(len(own)):
            theta = (f[i] * other[j]).sum() / 2
            shared = float((labels[row] * labels[j]).sum() > 0)
            total = total + torch.log(1 + torch.exp(theta)) - shared * theta
        total = total + (codes[row] - f[i]).square().sum()
    rest = [row for row in range(len(own)) if row not in rows]
    return (total + (f.sum(dim=0) + own[rest].sum(dim=0)).square().sum()) / (len(rows) * len(own))


def test_loss_and_gradient_equal_those_of_the_loops() -> None:
    generator = torch.Generator().manual_seed(1)
    own, other = (torch.randn(9, BITS, generator=generator) for _ in range(2))
    labels = (torch.rand(9, 3, generator=generator) < 0.3).to(torch.uint8)
    codes, rows = sign(own + other).float(), [4, 0, 7]
    outputs = torch.randn(3, BITS, generator=generator).requires_grad_()
    similarity = (labels[rows].float() @ labels.T.float() > 0).float()
    own[rows] = outputs.detach()
    loss = DCMH().branch_loss(outputs, torch.tensor(rows), similarity, Memory(own, other, codes))
    expected = loss_in_loops(outputs, rows, own, other, codes, labels)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(*(torch.autograd.grad(value, outputs) for value in (loss, expected)))


def test_outputs_beyond_the_range_of_exp_have_a_finite_loss() -> None:
    outputs = torch.full((1, BITS), 100.0, requires_grad=True)
    own = outputs.detach().clone()
    loss = DCMH().branch_loss(outputs, torch.tensor([0]), torch.zeros(1, 1), Memory(own, own, own.sign()))
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert math.isinf(float(torch.exp(own.square().sum() / 2)))
    assert float(loss.detach()) == pytest.approx(4 * 100 * 100 / 2 + 4 * 99**2 + 4 * 100**2)
    torch.testing.assert_close(gradient, torch.full((1, BITS), 50.0 + 2 * 99 + 2 * 100))


def reference_training(hasher: DCMH) -> State:
    """Return the network after two epochs of two steps on images and two on texts, batches of 8 of 20 rows."""
    data = training_data()
    torch.manual_seed(5)
    network = hasher.initial_network(data, CONTEXT).requires_grad_(True).train()
    texts = data.texts(range(20))
    if hasher.center_texts:
        network.text_head.mean.copy_(texts.sum(dim=0) / 20)
    own = {"image": torch.randn(20, BITS), "text": torch.randn(20, BITS)}
    weights = {
        "image": [*network.features.parameters(), *network.image_head.parameters()],
        "text": list(network.text_head.parameters()),
    }
    shuffle = Noise(0, ("fit",)).generator("shuffle")
    for rate in (0.5, 0.3):
        codes = torch.where(own["image"] + own["text"] >= 0, 1.0, -1.0)
        for modality, other in (("image", "text"), ("text", "image")):
            for _ in range(2):
                rows = torch.randperm(20, generator=shuffle)[:8].tolist()
                f = network.image(data.images(rows)) if modality == "image" else network.text(texts[rows])
                loss = loss_in_loops(f, rows, own[modality], own[other], codes, data.labels)
                own[modality][rows] = f.detach()
                descend(weights[modality], loss, rate, hasher.weight_decay)
    return network.state_dict()


def descend(weights: list[nn.Parameter], loss: Tensor, rate: float, decay: float) -> None:
    for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
        with torch.no_grad():
            weight -= rate * (gradient + decay * weight)


@pytest.mark.parametrize("options", [{}, {"center_texts": True, "weight_decay": 0.01}], ids=["defaults", "centered"])
def test_two_epochs_equal_the_reference_training(options: dict[str, Any]) -> None:
    hasher = SmoothDCMH.create({**TINY, **options})
    state = fit(hasher)
    torch.testing.assert_close(state, reference_training(hasher), rtol=1e-4, atol=1e-6)
    assert bool(state["text_head.mean"].any()) == hasher.center_texts


@pytest.mark.parametrize(("rows", "steps"), [(20, 4), (17, 4), (8, 2), (5, 2), (1, 2)])
def test_an_epoch_takes_all_full_batches_and_at_least_one(rows: int, steps: int) -> None:
    progress: list[tuple[int, int]] = []

    def log_progress(done: int, total: int) -> None:
        progress.append((done, total))

    curves: dict[str, Any] = {}
    state = fit(SmoothDCMH.create(TINY), rows, progress=log_progress, record=curves.__setitem__)
    assert progress == [(step + 1, 2 * steps) for step in range(2 * steps)]
    assert {name: len(curve) for name, curve in curves.items()} == {"image_loss": 2, "text_loss": 2}
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


def test_both_schedules_are_the_published_ones() -> None:
    linear, epochs = DCMH(), 500
    expected = np.linspace(10**-1.5, 1e-6, epochs + 1)[:epochs]
    assert [linear.scheduled_learning_rate(epoch) for epoch in range(epochs)] == pytest.approx(expected.tolist())
    logarithmic = DCMH(schedule="logarithmic", last_learning_rate=1e-3)
    expected = np.logspace(-1.5, -3, epochs)
    assert [logarithmic.scheduled_learning_rate(epoch) for epoch in range(epochs)] == pytest.approx(expected.tolist())
    assert DCMH(schedule="logarithmic", epochs=1).scheduled_learning_rate(0) == pytest.approx(10**-1.5)


def test_a_resumed_fit_ends_with_the_same_bits(tmp_path: Path) -> None:
    hasher = SmoothDCMH.create({**TINY, "epochs": 4})
    curves: dict[str, Any] = {}
    resumed_curves: dict[str, Any] = {}

    def kill(done: int, total: int) -> None:
        if done == 11:
            raise InterruptedError

    uninterrupted = fit(hasher, record=curves.__setitem__)
    with pytest.raises(InterruptedError):
        fit(hasher, checkpoints=tmp_path, checkpoint_every=0.0, progress=kill)
    resumed = fit(hasher, checkpoints=tmp_path, checkpoint_every=0.0, record=resumed_curves.__setitem__)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in uninterrupted.items())
    assert curves == resumed_curves


def test_it_trains_in_bf16() -> None:
    state = fit(SmoothDCMH.create(TINY), precision="bf16")
    assert all(torch.isfinite(tensor).all() and tensor.dtype != torch.bfloat16 for tensor in state.values())


def test_the_whole_backbone_is_trained_without_changing_the_part_in_place() -> None:
    torch.manual_seed(0)
    start = Conv().build().state_dict()
    kept = {name: tensor.clone() for name, tensor in start.items()}
    state = DCMH.create(TINY).fit(training_data(), replace(CONTEXT, parts={"backbone": start}))
    assert all(torch.equal(kept[name], tensor) for name, tensor in start.items())
    assert not any(torch.equal(kept[name], state[f"features.{name}"]) for name in kept)


def test_codes_of_items_that_share_a_class_are_closer_across_modalities() -> None:
    """With few hidden units, training takes long to leave the saddle at 0, where all outputs are equal."""
    options = {**TINY, "epochs": 60, "hidden": 1024, "last_learning_rate": 0.5}
    hasher, data = SmoothDCMH.create(options), training_data()
    network = hasher.initial_network(data, CONTEXT).eval()
    network.load_state_dict(fit(hasher))
    with torch.no_grad():
        images = sign(network.image(data.images(range(2, 20)))).float()
        texts = sign(network.text(data.texts(range(2, 20)))).float()
    labels = data.labels[2:].float()
    related, agreement = labels @ labels.T > 0, images @ texts.T / BITS
    assert agreement[related].mean() > agreement[~related].mean() + 0.3


def test_heads_have_the_published_sizes_and_initialization() -> None:
    with torch.device("meta"):
        images, texts = DCMH().image_head(4096, 32), DCMH().text_head(1386, 32)
    assert sum(weight.numel() for weight in images.parameters()) == 4097 * 32
    assert sum(weight.numel() for weight in texts.parameters()) == 8192 * 1387 + 8193 * 32
    torch.manual_seed(0)
    small = DCMH(hidden=4000)
    for layer in (small.image_head(100, 4000), *small.text_head(100, 4000).layers[::2]):
        assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.02)
        assert float(layer.bias.detach().std()) == pytest.approx(0.01, rel=0.05)


def test_features_are_not_cached_and_the_warm_up_uses_labels() -> None:
    assert DCMH.cached is None
    assert DCMH().warmup == "labels"
