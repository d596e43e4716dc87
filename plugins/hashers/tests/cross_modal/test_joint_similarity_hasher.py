"""The training of DJSRH and JDSH against a reference written from their formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from retbench_hashers.backbones.features import Features
from retbench_hashers.cross_modal.cross_modal_hasher import CrossModalNetwork
from retbench_hashers.cross_modal.djsrh import DJSRH
from retbench_hashers.cross_modal.jdsh import JDSH
from retbench_hashers.cross_modal.joint_similarity_hasher import JointSimilarityHasher, cosines
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from retbench import Context, Noise, State, TrainingData
from retbench.testing import ToyDataset

CPU = torch.device("cpu")
BITS = 8
TINY = {"hidden": 6, "epochs": 2, "batch_size": 8, "image_learning_rate": 0.02, "text_learning_rate": 0.05}
CONTEXT = Context(CPU, "float32", Noise(0, ("fit",)))


class Unlabeled(ToyDataset):
    """A dataset whose first training item has no text, and that fails if training labels are read.

    The training split is the first half of the database, whose labels determine images and texts.
    """

    def texts(self, split: Any, rows: Sequence[int]) -> Tensor:
        return super().texts("database", rows) * (torch.tensor(list(rows)) > 0)[:, None]

    def labels(self, split: Any) -> Tensor:
        if split == "train":
            raise PermissionError("an unsupervised training read labels")
        return super().labels(split)

    def images(self, split: Any, rows: Sequence[int]) -> Tensor:
        return super().images("database", rows)


def training_data(rows: int = 20) -> TrainingData:
    dataset = Unlabeled(side=16, database=2 * rows)
    data = TrainingData(dataset, replace(dataset.facts(), bits=BITS), CPU)
    with torch.no_grad():
        features = backbone()(data.images(range(rows)))
    return replace(data, shards=(features,))


class Smooth(Features):
    """A smooth backbone, whose gradients do not depend on rounding."""

    width, min_side = 12, 16

    def __init__(self) -> None:
        super().__init__()
        self.lower, self.hidden = nn.Linear(3 * 16 * 16, 10), nn.Linear(10, self.width)

    def forward(self, images: Tensor) -> Tensor:
        return (self.hidden(self.lower(images.flatten(1)).tanh())).sigmoid()


class SmoothJDSH(JDSH):
    def initial_network(self, data: TrainingData, ctx: Context) -> CrossModalNetwork:
        return self.build_network(backbone(), data.facts.text_width, data.facts.bits)


class SmoothDJSRH(DJSRH):
    def initial_network(self, data: TrainingData, ctx: Context) -> CrossModalNetwork:
        return self.build_network(backbone(), data.facts.text_width, data.facts.bits)


def backbone() -> nn.Module:
    """Return a frozen backbone, the same at each call, without drawing from the global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Smooth().requires_grad_(False).eval()


def fit(hasher: JointSimilarityHasher, rows: int = 20, **services: Any) -> State:
    torch.manual_seed(5)
    return hasher.fit(training_data(rows), replace(CONTEXT, **services))


def untrained_network(hasher: JointSimilarityHasher) -> CrossModalNetwork:
    """Return the network before training in `fit`."""
    torch.manual_seed(5)
    return hasher.initial_network(training_data(), CONTEXT)


KINDS = [SmoothDJSRH, SmoothJDSH]


def cosine(rows: Tensor, others: Tensor) -> Tensor:
    return cosine_similarity(rows[:, None], others[None], dim=2)


def djsrh_loss(u: Tensor, v: Tensor, features: Tensor, texts: Tensor) -> Tensor:
    joint = 0.9 * (2 * cosine(features, features) - 1) + 0.1 * (2 * cosine(texts, texts) - 1)
    target = 1.5 * (0.6 * joint + 0.4 * torch.einsum("ik,jk->ij", joint, joint) / len(joint))
    squares = [(cosine(a, b) - target).square().mean() for a, b in ((u, u), (u, v), (v, v))]
    return 0.1 * squares[0] + squares[1] + 0.1 * squares[2]


def jdsh_loss(u: Tensor, v: Tensor, features: Tensor, texts: Tensor) -> Tensor:
    image_similarity, text_similarity = 2 * cosine(features, features) - 1, 2 * cosine(texts, texts) - 1
    high = cosine(image_similarity, text_similarity)
    target = torch.empty(len(u), len(u))
    for i in range(len(u)):
        for j in range(len(u)):
            s = (
                0.5 * float(image_similarity[i, j])
                + 0.1 * float(text_similarity[i, j])
                + 0.2 * float(high[i, j] + high[j, i])
            )
            if s < -0.49 - 2 * 0.019:
                s = s * (1 + 0.1 * math.exp(-(s + 0.52)))
            elif s > -0.49 + 4 * 0.088:
                s = s * (1 + 0.2 * math.exp(s - 0.68))
            target[i, j] = 1.4 * s
    squares = [(cosine(a, b) - target).square().mean() for a, b in ((u, u), (u, v), (v, u), (v, v))]
    return 0.1 * squares[0] + squares[1] + squares[2] + 0.1 * squares[3] - cosine_similarity(u, v, dim=1).mean()


def reference_training(hasher: JointSimilarityHasher, image_modules: Sequence[str]) -> State:
    """Return the state after two epochs of two batches of 8 of the 20 rows.

    Args:
        hasher: determines the loss.
        image_modules: names of the trained modules of the image branch.
    """
    formula = djsrh_loss if isinstance(hasher, DJSRH) else jdsh_loss
    network, data = untrained_network(hasher), training_data()
    rates: dict[nn.Parameter, float] = {}
    for name, rate in [*((name, 0.02) for name in image_modules), ("text_head", 0.05)]:
        module = network.get_submodule(name).requires_grad_(True).train()
        rates.update(dict.fromkeys(module.parameters(), rate))
    velocities = {weight: torch.zeros_like(weight) for weight in rates}
    shuffle = Noise(0, ("fit",)).generator("shuffle")
    for epoch in range(2):
        order = torch.randperm(20, generator=shuffle)
        for rows in (order[:8].tolist(), order[8:16].tolist()):
            u = torch.tanh(math.sqrt(epoch + 1) * network.image(data.images(rows)))
            v = torch.tanh(math.sqrt(epoch + 1) * network.text(data.texts(rows)))
            loss = formula(u, v, data.features(rows), data.texts(rows))
            for weight, gradient in zip(rates, torch.autograd.grad(loss, list(rates)), strict=True):
                with torch.no_grad():
                    velocities[weight] = 0.9 * velocities[weight] + gradient + 5e-4 * weight
                    weight -= rates[weight] * velocities[weight]
    return network.state_dict()


@pytest.mark.parametrize(
    ("hasher", "image_modules"),
    [
        (SmoothJDSH.create(TINY), ["image_head"]),
        (SmoothDJSRH.create({**TINY, "trained": "none"}), ["image_head"]),
        (SmoothDJSRH.create({**TINY, "trained": "hidden"}), ["image_head", "features.hidden"]),
        (SmoothDJSRH.create({**TINY, "trained": "all"}), ["image_head", "features"]),
    ],
    ids=["jdsh", "djsrh-none", "djsrh-hidden", "djsrh-all"],
)
def test_two_epochs_equal_the_reference_training(hasher: JointSimilarityHasher, image_modules: list[str]) -> None:
    expected, start, state = (
        reference_training(hasher, image_modules),
        untrained_network(hasher).state_dict(),
        fit(hasher),
    )
    torch.testing.assert_close(state, expected, rtol=1e-4, atol=1e-6)
    changed = {name for name in state if not torch.equal(state[name], start[name])}
    assert changed == {name for name in state if name.startswith((*image_modules, "text_head"))}


def test_cosines_equal_those_of_torch_and_are_zero_for_a_row_of_zeros() -> None:
    rows, others = torch.randn(4, 5), torch.randn(3, 5)
    rows[1] = 0
    torch.testing.assert_close(cosines(rows, others), cosine(rows, others))
    assert cosines(rows, others)[1].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "steps"), [(20, 2), (16, 2), (9, 1), (8, 1), (5, 1), (1, 1)])
def test_an_epoch_takes_all_full_batches_and_at_least_one(
    kind: type[JointSimilarityHasher], rows: int, steps: int
) -> None:
    progress: list[tuple[int, int]] = []

    def log_progress(done: int, total: int) -> None:
        progress.append((done, total))

    state = fit(kind.create(TINY), rows, progress=log_progress)
    assert progress[-2 * steps :] == [(step + 1, 2 * steps) for step in range(2 * steps)]
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_fit_ends_with_the_same_bits(kind: type[JointSimilarityHasher], tmp_path: Path) -> None:
    hasher = kind.create({**TINY, "epochs": 4})
    curves: dict[str, Any] = {}
    resumed_curves: dict[str, Any] = {}

    def kill(done: int, total: int) -> None:
        if (done, total) == (5, 8):
            raise InterruptedError

    uninterrupted = fit(hasher, record=curves.__setitem__)
    with pytest.raises(InterruptedError):
        fit(hasher, checkpoints=tmp_path, checkpoint_every=0.0, progress=kill)
    torch.rand(3)
    resumed = fit(hasher, checkpoints=tmp_path, checkpoint_every=0.0, record=resumed_curves.__setitem__)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in uninterrupted.items())
    assert curves == resumed_curves
    assert len(curves["loss"]) == 4


def test_a_checkpoint_does_not_contain_a_frozen_backbone(tmp_path: Path) -> None:
    fit(SmoothJDSH.create(TINY), checkpoints=tmp_path, checkpoint_every=0.0)
    saved = Context(CPU, "float32", Noise(0, ("fit",)), checkpoints=tmp_path).load_checkpoint("training")
    assert saved is not None
    assert set(saved["moving"]["image"]) == {"0.weight", "0.bias"}


@pytest.mark.parametrize("kind", KINDS)
def test_training_lowers_the_loss(kind: type[JointSimilarityHasher]) -> None:
    curves: dict[str, Any] = {}
    fit(kind.create({**TINY, "epochs": 20}), record=curves.__setitem__)
    assert curves["loss"][-1] < curves["loss"][0] - 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_it_trains_in_bf16(kind: type[JointSimilarityHasher]) -> None:
    state = fit(kind.create(TINY), precision="bf16")
    assert all(torch.isfinite(tensor).all() and tensor.dtype != torch.bfloat16 for tensor in state.values())


@pytest.mark.parametrize("kind", KINDS)
def test_heads_have_the_published_sizes(kind: type[JointSimilarityHasher]) -> None:
    with torch.device("meta"):
        images, texts = kind().image_head(4096, 32), kind().text_head(1386, 32)
    assert sum(weight.numel() for weight in images.parameters()) == 4097 * 32
    assert sum(weight.numel() for weight in texts.parameters()) == 4096 * 1387 + 4097 * 32
