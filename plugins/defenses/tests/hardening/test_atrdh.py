"""Adversarial training: against a plain transcription of the published loop, and by what it is for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from retbench_attacks.prototypes.prototype_net import PrototypeNet
from retbench_attacks.prototypes.tha_prototypes import circle_loss
from retbench_defenses.hardening.atrdh import ATRDH, pair_error
from torch import Tensor, nn

from retbench import Context, Hasher, HashNetwork, Noise, State, TrainingData
from retbench.testing import check_component
from retbench.testing.toys import ToyDataset

CPU = torch.device("cpu")
DATASET = ToyDataset(side=8, database=24)
BITS = 8
LABELS = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]], dtype=torch.uint8)
MEMORY = torch.arange(1, 25).float().sin().reshape(6, 4)


class Net(HashNetwork):
    """A convolution with normalization and a linear layer over its means; dropout where a test asks for it."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Tanh(), nn.AdaptiveAvgPool2d(1))
        self.drop, self.hash = nn.Dropout(dropout), nn.Linear(6, BITS)

    def image(self, images: Tensor) -> Tensor:
        return self.hash(self.drop(self.features(images).flatten(1)))


class Small(Hasher):
    """A small network that is trained by the pairwise squared error."""

    name: ClassVar[str] = "small"
    source: ClassVar[str] = "made for tests"
    dropout: float = 0.0

    def fit(self, data: TrainingData, ctx: Context) -> State:
        raise NotImplementedError

    def network(self, state: State, device: torch.device) -> Net:
        network = Net(self.dropout)
        network.load_state_dict(state)
        return network

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        similar = labels[rows].float() @ labels.float().T > 0
        return 3 * pair_error(outputs, memory, similar)


@pytest.fixture
def trained() -> State:
    torch.manual_seed(3)
    network = Net(0)
    network.features[1].running_mean.uniform_(-0.2, 0.2)
    return network.state_dict()


def harden(defense: ATRDH, hasher: Hasher, state: State, **context: Any) -> State:
    """Hardens a hasher as the core does, with torch's global generator seeded; every checkpoint is due."""
    data = TrainingData(DATASET, replace(DATASET.facts(), bits=BITS), CPU)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return defense.fit(
            hasher, state, data, Context(CPU, "float32", Noise(0, ("atrdh",)), checkpoint_every=0, **context)
        )


def transcribed(defense: ATRDH, hasher: Small, state: State) -> State:
    """The published loop, image by image where it can be, on a network without dropout."""
    noise, labels = Noise(0, ("atrdh",)), DATASET.labels("train").float()
    images = DATASET.images("train", range(12)).float() / 255
    torch.manual_seed(0)
    net = Net(0)
    net.load_state_dict(state)
    net.eval()  # no dropout to switch on; normalization keeps its statistics
    similar = torch.tensor([[float((a * b).sum() > 0) for b in labels] for a in labels])
    with torch.no_grad():
        memory = torch.tanh(net.image(images))
    codes = memory.sign()
    vectors = torch.unique(DATASET.labels("database"), dim=0).float()
    prototypes = PrototypeNet(3, BITS, defense.hidden, defense.semantic, reconstruct=False)
    pull = torch.optim.Adam(prototypes.parameters(), lr=defense.prototype_learning_rate, betas=(0.5, 0.999))
    train = torch.optim.Adam(net.parameters(), lr=defense.learning_rate, betas=(0.5, 0.999))
    steps = defense.epochs * 3
    for step in range(steps):
        epoch, index = divmod(step, 3)
        for optimizer, rate in ((pull, defense.prototype_learning_rate), (train, defense.learning_rate)):
            tenths = (step >= steps // 2) + (step >= steps * 3 // 4)
            optimizer.param_groups[0]["lr"] = rate * 0.1**tenths
        rows = noise.uniform("shuffle", (12,), epoch)[0].argsort()[4 * index : 4 * index + 4]
        outputs = torch.tanh(net.image(images[rows]))
        codes[rows] = outputs.detach().sign()
        wanted = vectors[(noise.uniform("targets", (4,), step)[0] * len(vectors)).long()]
        soft = prototypes(wanted).codes
        loss = circle_loss(soft, codes, wanted @ labels.T > 0) + 1e-4 * ((soft.sign() - soft) ** 2).sum()
        pull.zero_grad()
        (loss / 4).backward()
        pull.step()
        start = noise.uniform("start", (4, 3, 8, 8), step)[0]
        attacked = []
        for image, code, corner in zip(images[rows], soft.detach().sign(), start, strict=True):
            moved = (image + defense.eps * (2 * corner - 1)).clamp(0, 1)
            for _ in range(defense.attack_steps):
                moved = moved.detach().requires_grad_()
                (torch.tanh(net.image(moved[None])) @ code).sum().backward()
                moved = moved + defense.attack_step_size * moved.grad.sign()
                moved = (image + (moved - image).clamp(-defense.eps, defense.eps)).clamp(0, 1)
            attacked.append(moved.detach())
        answers = torch.tanh(net.image(torch.stack(attacked)))
        memory[rows] = outputs.detach()
        wish = 2 * similar[rows] - 1
        benign = ((outputs @ memory.T / BITS - wish) ** 2).mean()
        adversarial = ((answers @ memory.T / BITS - wish) ** 2).mean()
        train.zero_grad()
        ((3 if defense.benign == "own" else 1) * benign + defense.weight * adversarial).backward()
        train.step()
    return net.state_dict()


@pytest.mark.parametrize(
    "options", [{"benign": "mse"}, {"benign": "own", "weight": 2.0}], ids=["the code of ATRDH", "the code of SAAT"]
)
def test_it_is_the_published_loop(trained: State, options: dict[str, Any]) -> None:
    defense = ATRDH(
        epochs=4, batch_size=4, learning_rate=1e-2, eps=0.1, attack_step_size=0.03, hidden=16, semantic=4, **options
    )
    got, expected = harden(defense, Small(), trained), transcribed(defense, Small(), trained)
    moved = 0.0
    for name, weight in expected.items():
        assert torch.allclose(got[name].float(), weight.float(), atol=2e-4), name
        moved = max(moved, float((weight - trained[name]).abs().max()))
    assert moved > 0.01


def test_the_attacked_term_is_the_pairwise_error_of_the_literature() -> None:
    outputs = MEMORY[:3].clone().requires_grad_()
    similar = LABELS[:3].float() @ LABELS.float().T > 0
    error = pair_error(outputs, MEMORY, similar)
    assert error.item() == pytest.approx(0.884573, abs=2e-6)
    (gradient,) = torch.autograd.grad(error, outputs)
    assert gradient[0].tolist() == pytest.approx([-0.002724, 0.026781, 0.031663, 0.007435], abs=2e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("killed_at", [2, 7], ids=["in the prototype net's steps", "in the second epoch"])
def test_a_killed_training_resumes_where_the_whole_one_would_be(
    trained: State, tmp_path: Path, dropout: float, killed_at: int
) -> None:
    """Two steps of the prototype net, then three epochs of three batches each."""
    defense = ATRDH(epochs=3, batch_size=5, learning_rate=1e-2, hidden=16, semantic=4, prototype_steps=2)
    whole = harden(defense, Small(dropout=dropout), trained)

    def kill(done: int, total: int) -> None:
        assert total == 2 + 3 * 3
        if done == killed_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        harden(defense, Small(dropout=dropout), trained, checkpoints=tmp_path, progress=kill)
    resumed = harden(defense, Small(dropout=dropout), trained, checkpoints=tmp_path)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_statistics_of_normalization_and_the_given_weights_stay(trained: State) -> None:
    before = {name: weight.clone() for name, weight in trained.items()}
    after = harden(ATRDH(epochs=1, batch_size=4, hidden=16, semantic=4), Small(), trained)
    assert all(torch.equal(before[name], trained[name]) for name in before)
    for name in ("features.1.running_mean", "features.1.running_var", "features.1.num_batches_tracked"):
        assert torch.equal(after[name], trained[name])
    assert not torch.equal(after["hash.weight"], trained["hash.weight"])


def test_each_epoch_s_loss_is_recorded(trained: State) -> None:
    curves: dict[str, Any] = {}
    harden(ATRDH(epochs=2, hidden=8, semantic=4), Small(), trained, record=curves.__setitem__)
    assert len(curves["loss"]) == 2


class Exploding(Small):
    """Has a loss without bound."""

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        return super().loss(outputs, labels, rows, memory) * float("inf")


def test_a_loss_that_is_not_finite_stops_the_training(trained: State) -> None:
    with pytest.raises(ValueError, match="training: loss of step 3 is not finite: got inf"):
        harden(ATRDH(epochs=1, hidden=8, semantic=4, prototype_steps=2), Exploding(), trained)


def test_a_loss_of_the_prototype_net_that_is_not_finite_stops_the_training(
    trained: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "retbench_defenses.hardening.atrdh.circle_loss", lambda codes, *rest: circle_loss(codes, *rest) * float("nan")
    )
    with pytest.raises(ValueError, match="training: loss of the prototype net of step 1 is not finite: got nan"):
        harden(ATRDH(epochs=1, hidden=8, semantic=4), Small(), trained)


def test_it_keeps_the_contract() -> None:
    check_component(ATRDH(epochs=1, batch_size=8, hidden=16, semantic=4))
