"""The training that DJSRH and JDSH share, against a transcription of their formulas step by step."""

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
    """Its first training item has no text, and whoever asks for training labels fails.

    The training split is the first half of the database, whose labels make pictures and texts.
    """

    def texts(self, split: Any, rows: Sequence[int]) -> Tensor:
        return super().texts("database", rows) * (torch.tensor(list(rows)) > 0)[:, None]

    def labels(self, split: Any) -> Tensor:
        if split == "train":
            raise PermissionError("an unsupervised training looked at labels")
        return super().labels(split)

    def images(self, split: Any, rows: Sequence[int]) -> Tensor:
        return super().images("database", rows)


def training_data(rows: int = 20) -> TrainingData:
    toys = Unlabeled(side=16, database=2 * rows)
    data = TrainingData(toys, replace(toys.facts(), bits=BITS), CPU)
    with torch.no_grad():
        features = backbone()(data.images(range(rows)))
    return replace(data, shards=(features,))


class Smooth(Features):
    """A backbone without kinks, whose gradients two ways of rounding cannot set apart."""

    width, smallest_side = 12, 16

    def __init__(self) -> None:
        super().__init__()
        self.lower, self.hidden = nn.Linear(3 * 16 * 16, 10), nn.Linear(10, self.width)

    def forward(self, images: Tensor) -> Tensor:
        return (self.hidden(self.lower(images.flatten(1)).tanh())).sigmoid()


class SmoothJDSH(JDSH):
    def begin(self, data: TrainingData, ctx: Context) -> CrossModalNetwork:
        return self.assemble(backbone(), data.facts.text_width, data.facts.bits)


class SmoothDJSRH(DJSRH):
    def begin(self, data: TrainingData, ctx: Context) -> CrossModalNetwork:
        return self.assemble(backbone(), data.facts.text_width, data.facts.bits)


def backbone() -> nn.Module:
    """Return a frozen backbone, the same at each call, which draws nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Smooth().requires_grad_(False).eval()


def fit(hasher: JointSimilarityHasher, rows: int = 20, **services: Any) -> State:
    torch.manual_seed(5)
    return hasher.fit(training_data(rows), replace(CONTEXT, **services))


def started(hasher: JointSimilarityHasher) -> CrossModalNetwork:
    """Return the network that `fit` starts from."""
    torch.manual_seed(5)
    return hasher.begin(training_data(), CONTEXT)


KINDS = [SmoothDJSRH, SmoothJDSH]


def cosine(rows: Tensor, others: Tensor) -> Tensor:
    return cosine_similarity(rows[:, None], others[None], dim=2)


def djsrh_loss(u: Tensor, v: Tensor, features: Tensor, texts: Tensor) -> Tensor:
    mixed = 0.9 * (2 * cosine(features, features) - 1) + 0.1 * (2 * cosine(texts, texts) - 1)
    wanted = 1.5 * (0.6 * mixed + 0.4 * torch.einsum("ik,jk->ij", mixed, mixed) / len(mixed))
    squares = [(cosine(a, b) - wanted).square().mean() for a, b in ((u, u), (u, v), (v, v))]
    return 0.1 * squares[0] + squares[1] + 0.1 * squares[2]


def jdsh_loss(u: Tensor, v: Tensor, features: Tensor, texts: Tensor) -> Tensor:
    of_images, of_texts = 2 * cosine(features, features) - 1, 2 * cosine(texts, texts) - 1
    high = cosine(of_images, of_texts)
    wanted = torch.empty(len(u), len(u))
    for i in range(len(u)):
        for j in range(len(u)):
            s = 0.5 * float(of_images[i, j]) + 0.1 * float(of_texts[i, j]) + 0.2 * float(high[i, j] + high[j, i])
            if s < -0.49 - 2 * 0.019:
                s = s * (1 + 0.1 * math.exp(-(s + 0.52)))
            elif s > -0.49 + 4 * 0.088:
                s = s * (1 + 0.2 * math.exp(s - 0.68))
            wanted[i, j] = 1.4 * s
    squares = [(cosine(a, b) - wanted).square().mean() for a, b in ((u, u), (u, v), (v, u), (v, v))]
    return 0.1 * squares[0] + squares[1] + squares[2] + 0.1 * squares[3] - cosine_similarity(u, v, dim=1).mean()


def transcribed(hasher: JointSimilarityHasher, image_modules: Sequence[str]) -> State:
    """Return the network after two epochs of two batches of 8 of the 20 rows, by hand.

    Args:
        hasher: says which loss.
        image_modules: names of what learns of the image branch.
    """
    formula = djsrh_loss if isinstance(hasher, DJSRH) else jdsh_loss
    network, data = started(hasher), training_data()
    rates: dict[nn.Parameter, float] = {}
    for name, rate in [*((name, 0.02) for name in image_modules), ("text_head", 0.05)]:
        module = network.get_submodule(name).requires_grad_(True).train()
        rates.update(dict.fromkeys(module.parameters(), rate))
    speeds = {weight: torch.zeros_like(weight) for weight in rates}
    shuffle = Noise(0, ("fit",)).generator("shuffle")
    for epoch in range(2):
        order = torch.randperm(20, generator=shuffle)
        for rows in (order[:8].tolist(), order[8:16].tolist()):
            u = torch.tanh(math.sqrt(epoch + 1) * network.image(data.images(rows)))
            v = torch.tanh(math.sqrt(epoch + 1) * network.text(data.texts(rows)))
            loss = formula(u, v, data.features(rows), data.texts(rows))
            for weight, gradient in zip(rates, torch.autograd.grad(loss, list(rates)), strict=True):
                with torch.no_grad():
                    speeds[weight] = 0.9 * speeds[weight] + gradient + 5e-4 * weight
                    weight -= rates[weight] * speeds[weight]
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
def test_two_epochs_are_those_of_the_formulas(hasher: JointSimilarityHasher, image_modules: list[str]) -> None:
    expected, start, state = transcribed(hasher, image_modules), started(hasher).state_dict(), fit(hasher)
    torch.testing.assert_close(state, expected, rtol=1e-4, atol=1e-6)
    learned = {name for name in state if not torch.equal(state[name], start[name])}
    assert learned == {name for name in state if name.startswith((*image_modules, "text_head"))}


def test_cosines_are_torchs_and_those_of_a_row_of_zeros_are_zero() -> None:
    rows, others = torch.randn(4, 5), torch.randn(3, 5)
    rows[1] = 0
    torch.testing.assert_close(cosines(rows, others), cosine(rows, others))
    assert cosines(rows, others)[1].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "steps"), [(20, 2), (16, 2), (9, 1), (8, 1), (5, 1), (1, 1)])
def test_rows_that_do_not_fill_a_batch_are_left_out_unless_there_is_no_other(
    kind: type[JointSimilarityHasher], rows: int, steps: int
) -> None:
    seen: list[tuple[int, int]] = []

    def watch(done: int, total: int) -> None:
        seen.append((done, total))

    state = fit(kind.create(TINY), rows, progress=watch)
    assert seen[-2 * steps :] == [(step + 1, 2 * steps) for step in range(2 * steps)]
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_that_was_killed_goes_on_to_the_same_bits(kind: type[JointSimilarityHasher], tmp_path: Path) -> None:
    hasher = kind.create({**TINY, "epochs": 4})
    curves: dict[str, Any] = {}
    resumed_curves: dict[str, Any] = {}

    def kill(done: int, total: int) -> None:
        if (done, total) == (5, 8):
            raise InterruptedError

    whole = fit(hasher, record=curves.__setitem__)
    with pytest.raises(InterruptedError):
        fit(hasher, checkpoints=tmp_path, checkpoint_every=0.0, progress=kill)
    torch.rand(3)
    resumed = fit(hasher, checkpoints=tmp_path, checkpoint_every=0.0, record=resumed_curves.__setitem__)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())
    assert curves == resumed_curves
    assert len(curves["loss"]) == 4


def test_a_checkpoint_leaves_out_the_backbone_that_nothing_changes(tmp_path: Path) -> None:
    fit(SmoothJDSH.create(TINY), checkpoints=tmp_path, checkpoint_every=0.0)
    saved = torch.load(tmp_path / "training.pt", weights_only=True)
    assert set(saved["moving"]["image"]) == {"0.weight", "0.bias"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_falls(kind: type[JointSimilarityHasher]) -> None:
    curves: dict[str, Any] = {}
    fit(kind.create({**TINY, "epochs": 20}), record=curves.__setitem__)
    assert curves["loss"][-1] < curves["loss"][0] - 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_it_trains_in_bf16(kind: type[JointSimilarityHasher]) -> None:
    state = fit(kind.create(TINY), precision="bf16")
    assert all(torch.isfinite(tensor).all() and tensor.dtype != torch.bfloat16 for tensor in state.values())


@pytest.mark.parametrize("kind", KINDS)
def test_published_heads_have_the_published_sizes(kind: type[JointSimilarityHasher]) -> None:
    with torch.device("meta"):
        images, texts = kind().image_head(4096, 32), kind().text_head(1386, 32)
    assert sum(weight.numel() for weight in images.parameters()) == 4097 * 32
    assert sum(weight.numel() for weight in texts.parameters()) == 4096 * 1387 + 4097 * 32
