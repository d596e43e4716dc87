"""Adversarial training against a plain transcription of the published loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from retbench_attacks.prototypes.prototype_network import PrototypeNetwork
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


class SmallNetwork(HashNetwork):
    """A convolution with batch normalization, mean pooling, dropout and a linear layer."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Tanh(), nn.AdaptiveAvgPool2d(1))
        self.drop, self.hash = nn.Dropout(dropout), nn.Linear(6, BITS)

    def image(self, images: Tensor) -> Tensor:
        return self.hash(self.drop(self.features(images).flatten(1)))


class SmallHasher(Hasher):
    """A hasher with a small network, whose loss is the pairwise squared error."""

    name: ClassVar[str] = "small"
    source: ClassVar[str] = "made for tests"
    dropout: float = 0.0

    def fit(self, data: TrainingData, ctx: Context) -> State:
        raise NotImplementedError

    def network(self, state: State, device: torch.device) -> SmallNetwork:
        network = SmallNetwork(self.dropout)
        network.load_state_dict(state)
        return network

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        similar = labels[rows].float() @ labels.float().T > 0
        return 3 * pair_error(outputs, memory, similar)


@pytest.fixture
def trained() -> State:
    torch.manual_seed(3)
    network = SmallNetwork(0)
    network.features[1].running_mean.uniform_(-0.2, 0.2)
    return network.state_dict()


def harden(defense: ATRDH, hasher: Hasher, state: State, **context: Any) -> State:
    """Harden a hasher as the core does, with torch's global generator seeded, and save every checkpoint."""
    data = TrainingData(DATASET, replace(DATASET.facts(), bits=BITS), CPU)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return defense.fit(
            hasher, state, data, Context(CPU, "float32", Noise(0, ("atrdh",)), checkpoint_every=0, **context)
        )


def harden_as_published(defense: ATRDH, hasher: SmallHasher, state: State) -> State:
    """The published loop, image by image where possible, on a network without dropout."""
    noise, labels = Noise(0, ("atrdh",)), DATASET.labels("train").float()
    images = DATASET.images("train", range(12)).float() / 255
    torch.manual_seed(0)
    network = SmallNetwork(0)
    network.load_state_dict(state)
    network.eval()  # keeps the statistics of batch normalization; there is no dropout
    similar = torch.tensor([[float((a * b).sum() > 0) for b in labels] for a in labels])
    with torch.no_grad():
        memory = torch.tanh(network.image(images))
    codes = memory.sign()
    vectors = torch.unique(DATASET.labels("database"), dim=0).float()
    prototype_net = PrototypeNetwork(3, BITS, defense.hidden, defense.semantic, reconstruct=False)
    prototype_optimizer = torch.optim.Adam(
        prototype_net.parameters(), lr=defense.prototype_learning_rate, betas=(0.5, 0.999)
    )
    hasher_optimizer = torch.optim.Adam(network.parameters(), lr=defense.learning_rate, betas=(0.5, 0.999))
    steps = defense.epochs * 3
    for step in range(steps):
        epoch, index = divmod(step, 3)
        for optimizer, rate in (
            (prototype_optimizer, defense.prototype_learning_rate),
            (hasher_optimizer, defense.learning_rate),
        ):
            decays = (step >= steps // 2) + (step >= steps * 3 // 4)
            optimizer.param_groups[0]["lr"] = rate * 0.1**decays
        rows = noise.uniform("shuffle", (12,), epoch)[0].argsort()[4 * index : 4 * index + 4]
        outputs = torch.tanh(network.image(images[rows]))
        codes[rows] = outputs.detach().sign()
        targets = vectors[(noise.uniform("targets", (4,), step)[0] * len(vectors)).long()]
        prototypes = prototype_net(targets).codes
        quantization = ((prototypes.sign() - prototypes) ** 2).sum()
        loss = circle_loss(prototypes, codes, targets @ labels.T > 0) + 1e-4 * quantization
        prototype_optimizer.zero_grad()
        (loss / 4).backward()
        prototype_optimizer.step()
        start = noise.uniform("start", (4, 3, 8, 8), step)[0]
        attacked = []
        for image, code, position in zip(images[rows], prototypes.detach().sign(), start, strict=True):
            pixels = (image + defense.eps * (2 * position - 1)).clamp(0, 1)
            for _ in range(defense.attack_steps):
                pixels = pixels.detach().requires_grad_()
                (torch.tanh(network.image(pixels[None])) @ code).sum().backward()
                pixels = pixels + defense.attack_step_size * pixels.grad.sign()
                pixels = (image + (pixels - image).clamp(-defense.eps, defense.eps)).clamp(0, 1)
            attacked.append(pixels.detach())
        attacked_outputs = torch.tanh(network.image(torch.stack(attacked)))
        memory[rows] = outputs.detach()
        expected = 2 * similar[rows] - 1
        benign = ((outputs @ memory.T / BITS - expected) ** 2).mean()
        adversarial = ((attacked_outputs @ memory.T / BITS - expected) ** 2).mean()
        hasher_optimizer.zero_grad()
        ((3 if defense.benign == "own" else 1) * benign + defense.weight * adversarial).backward()
        hasher_optimizer.step()
    return network.state_dict()


@pytest.mark.parametrize(
    "options", [{"benign": "mse"}, {"benign": "own", "weight": 2.0}], ids=["the code of ATRDH", "the code of SAAT"]
)
def test_the_hardened_weights_equal_those_of_the_published_loop(trained: State, options: dict[str, Any]) -> None:
    defense = ATRDH(
        epochs=4, batch_size=4, learning_rate=1e-2, eps=0.1, attack_step_size=0.03, hidden=16, semantic=4, **options
    )
    hasher = SmallHasher()
    got, expected = harden(defense, hasher, trained), harden_as_published(defense, hasher, trained)
    largest_change = 0.0
    for name, weight in expected.items():
        assert torch.allclose(got[name].float(), weight.float(), atol=2e-4), name
        largest_change = max(largest_change, float((weight - trained[name]).abs().max()))
    assert largest_change > 0.01


def test_pair_error_and_its_gradient_have_reference_values() -> None:
    outputs = MEMORY[:3].clone().requires_grad_()
    similar = LABELS[:3].float() @ LABELS.float().T > 0
    error = pair_error(outputs, MEMORY, similar)
    assert error.item() == pytest.approx(0.884573, abs=2e-6)
    (gradient,) = torch.autograd.grad(error, outputs)
    assert gradient[0].tolist() == pytest.approx([-0.002724, 0.026781, 0.031663, 0.007435], abs=2e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("last_step", [2, 7], ids=["in the prototype net's steps", "in the second epoch"])
def test_an_interrupted_training_resumes_to_the_weights_of_an_uninterrupted_one(
    trained: State, tmp_path: Path, dropout: float, last_step: int
) -> None:
    """Two steps of the prototype net, then three epochs of three batches each."""
    defense = ATRDH(epochs=3, batch_size=5, learning_rate=1e-2, hidden=16, semantic=4, prototype_steps=2)
    uninterrupted = harden(defense, SmallHasher(dropout=dropout), trained)

    def kill(done: int, total: int) -> None:
        assert total == 2 + 3 * 3
        if done == last_step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        harden(defense, SmallHasher(dropout=dropout), trained, checkpoints=tmp_path, progress=kill)
    resumed = harden(defense, SmallHasher(dropout=dropout), trained, checkpoints=tmp_path)
    assert all(torch.equal(uninterrupted[name], resumed[name]) for name in uninterrupted)


def test_batch_statistics_and_the_given_weights_are_not_changed(trained: State) -> None:
    before = {name: weight.clone() for name, weight in trained.items()}
    after = harden(ATRDH(epochs=1, batch_size=4, hidden=16, semantic=4), SmallHasher(), trained)
    assert all(torch.equal(before[name], trained[name]) for name in before)
    for name in ("features.1.running_mean", "features.1.running_var", "features.1.num_batches_tracked"):
        assert torch.equal(after[name], trained[name])
    assert not torch.equal(after["hash.weight"], trained["hash.weight"])


def test_the_loss_of_each_epoch_is_recorded(trained: State) -> None:
    curves: dict[str, Any] = {}
    harden(ATRDH(epochs=2, hidden=8, semantic=4), SmallHasher(), trained, record=curves.__setitem__)
    assert len(curves["loss"]) == 2


class InfiniteLossHasher(SmallHasher):
    """A hasher whose loss is infinite."""

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        return super().loss(outputs, labels, rows, memory) * float("inf")


def test_a_loss_that_is_not_finite_stops_the_training(trained: State) -> None:
    with pytest.raises(ValueError, match="training: loss of step 3 is not finite: got inf"):
        harden(ATRDH(epochs=1, hidden=8, semantic=4, prototype_steps=2), InfiniteLossHasher(), trained)


def test_a_loss_of_the_prototype_net_that_is_not_finite_stops_the_training(
    trained: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "retbench_defenses.hardening.atrdh.circle_loss", lambda codes, *rest: circle_loss(codes, *rest) * float("nan")
    )
    with pytest.raises(ValueError, match="training: loss of the prototype net of step 1 is not finite: got nan"):
        harden(ATRDH(epochs=1, hidden=8, semantic=4), SmallHasher(), trained)


def test_atrdh_fulfills_the_contract() -> None:
    check_component(ATRDH(epochs=1, batch_size=8, hidden=16, semantic=4))


def test_a_schedule_shorter_than_the_published_one_is_named() -> None:
    facts = ToyDataset().facts()
    assert ATRDH(epochs=2).shortened(facts) == "2 of 100 epochs"
    assert ATRDH().shortened(facts) is None
    assert ATRDH(epochs=150).shortened(facts) is None
