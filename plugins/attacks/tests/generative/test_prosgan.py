"""ProS-GAN: networks, learning rate schedule, losses, and the training of a small generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from retbench_attacks.generative.discriminator import Discriminator
from retbench_attacks.generative.generator_attack import TargetedGenerator, learning_rate_factor
from retbench_attacks.generative.prosgan import Decoder, Generator, ProsGAN
from retbench_attacks.prototypes.prosgan_prototypes import ProsGanPrototypes
from torch import Tensor, nn

from retbench import Batch, Context, Facts, HashNetwork, Knowledge, Noise, State, TrainingData, sign
from retbench.testing import ToyDataset

BITS, SIDE = 8, 16
CPU = torch.device("cpu")
PROTOTYPES = ProsGanPrototypes(hidden=16, semantic=8, steps=60, batch_size=32, learning_rate=1e-2)
NETWORK_OPTIONS: dict[str, Any] = {"width": 4, "blocks": 1, "decoder_width": 16, "critic_width": 4, "critic_depth": 2}
UNDETERMINED = {f"trunk.{layer}.0.bias" for layer in range(3)}
"""Biases that the next normalization cancels: their gradient is rounding error, which Adam scales to full steps."""

Curves = dict[str, list[float]]
ATTACK = ProsGAN(
    epochs=30, batch_size=8, learning_rate=5e-3, reconstruction=2, hamming=5, prototypes=PROTOTYPES, **NETWORK_OPTIONS
)


class LinearHasher(HashNetwork):
    """A linear hasher: for every target code there is a perturbation that reaches it."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randn(BITS, 3 * SIDE * SIDE, generator=torch.Generator().manual_seed(1))
        self.weight = torch.nn.Parameter(0.2 * weight, requires_grad=False)

    def image(self, images: Tensor) -> Tensor:
        return (images - 0.5).flatten(1) @ self.weight.T


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    dataset, network = ToyDataset(side=SIDE), LinearHasher()
    facts = replace(dataset.facts(), bits=BITS, task="i2i")
    training = TrainingData(dataset, facts, CPU)
    codes = sign(network.image(training.images(range(len(training)))))
    grants: Any = {"training_codes": codes, "database_labels": dataset.labels("database")}
    return Knowledge(network, facts, training, grants)


@pytest.fixture(scope="module")
def prototypes(knowledge: Knowledge) -> State:
    torch.manual_seed(0)
    return PROTOTYPES.fit(knowledge, Context(CPU, "float32", Noise(0, ("fit",))))


@pytest.fixture
def fit(knowledge: Knowledge, prototypes: State) -> Callable[..., State]:
    """Return a function that trains an attack as the core does."""

    def run(attack: ProsGAN, **services: Any) -> State:
        torch.manual_seed(0)
        services = {"precision": "float32", "parts": {"prototypes": prototypes}, **services}
        return attack.fit(knowledge, Context(CPU, noise=Noise(0, ("fit",)), **services))

    return run


def run_attack(attack: ProsGAN, knowledge: Knowledge, state: State, prototypes: State, target: int) -> Tensor:
    images = knowledge.training.images(range(6))
    labels = torch.eye(3, dtype=torch.uint8)[[target] * 6]
    ids = tuple(map(str, range(6)))
    batch = Batch(ids, images, knowledge.training.labels[:6], labels, torch.zeros(6, dtype=torch.int64))
    whole = state | {f"prototypes/{name}": weight for name, weight in prototypes.items()}
    return attack.perturb(knowledge, batch, attack.module(whole, CPU), Noise(0, ids))


def train_published_loop(
    attack: ProsGAN, knowledge: Knowledge, prototypes: State, bfloat16: bool = False
) -> tuple[Curves, State, State]:
    """Return the mean losses of each of two epochs of the published loop, and the weights of both networks.

    With `bfloat16`, generator and hasher run in bfloat16; the discriminator always runs in float32.
    """
    noise, training = Noise(0, ("fit",)), knowledge.training
    count, bits, images, labels = len(training), BITS, training.images(range(len(training))), training.labels.float()
    vectors = torch.unique(knowledge.grant("database_labels"), dim=0).float()
    torch.manual_seed(0)
    critic = Discriminator(3, (SIDE, SIDE), width=4, depth=2)
    generator = Generator(8, 1, width=4, blocks=1, decoder_width=16).to(memory_format=torch.channels_last)
    critic_adam = torch.optim.Adam(critic.parameters(), betas=(0.5, 0.999))
    generator_adam = torch.optim.Adam(generator.parameters(), betas=(0.5, 0.999))
    curves: Curves = {"reconstruction": [], "hamming": [], "adversarial": [], "critic": []}
    for epoch, share in enumerate([1.0, 0.5]):
        for adam in (critic_adam, generator_adam):
            adam.param_groups[0]["lr"] = attack.learning_rate * share
        order = noise.uniform("order", (count,), epoch)[0].argsort(stable=True)
        losses: dict[str, list[float]] = {name: [] for name in curves}
        steps = -(-count // attack.batch_size)
        for step in range(steps):
            rows = order[step * attack.batch_size : (step + 1) * attack.batch_size]
            zeros, draws = torch.zeros(len(rows), 1), noise.uniform("targets", (len(rows),), epoch * steps + step)[0]
            targets = torch.stack([vectors[int(draw * len(vectors))] for draw in draws.tolist()])
            inner = nn.ReLU()(targets @ prototypes["trunk.0.weight"].T + prototypes["trunk.0.bias"])
            semantics = inner @ prototypes["trunk.2.weight"].T + prototypes["trunk.2.bias"]
            target_codes = (semantics @ prototypes["code_head.weight"].T + prototypes["code_head.bias"]).sign()
            clean = images[rows] * 2 - 1
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                generated = generator(clean, semantics)
            generated = generated.float()
            if step % 3 == 0:
                real_error = ((critic(clean) - torch.cat([labels[rows], zeros], dim=1)) ** 2).mean()
                fake_error = ((critic(generated.detach()) - torch.cat([targets, zeros + 1], dim=1)) ** 2).mean()
                critic_loss = 0.5 * (real_error + fake_error)
                critic_adam.zero_grad()
                critic_loss.backward()
                critic_adam.step()
                losses["critic"].append(critic_loss.item())
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                logits = knowledge.network.image((generated + 1) / 2)
            outputs = torch.tanh(logits.float())
            terms = {
                "reconstruction": ((generated - clean) ** 2).mean(),
                "hamming": 1 - (outputs * target_codes).sum() / (len(rows) * bits),
                "adversarial": ((critic(generated) - torch.cat([targets, zeros], dim=1)) ** 2).mean(),
            }
            loss = attack.reconstruction * terms["reconstruction"] + attack.hamming * terms["hamming"]
            generator_adam.zero_grad()
            (loss + attack.adversarial * terms["adversarial"]).backward()
            generator_adam.step()
            for name, term in terms.items():
                losses[name].append(term.item())
        for name, values in losses.items():
            curves[name].append(sum(values) / len(values))
    return curves, generator.state_dict(), critic.state_dict()


def count_weights(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_number_of_weights_is_the_published_one() -> None:
    with torch.device("meta"):
        generator = Generator(512, 14 * 14)
    assert count_weights(generator.decoder) == 13_044_440
    assert count_weights(generator) - count_weights(generator.decoder) == 8_409_681
    assert count_weights(generator) == 21_454_121


@pytest.mark.parametrize(("size", "cells"), [((32, 32), 4), ((16, 48), 3)])
def test_generated_images_have_the_input_size(size: tuple[int, int], cells: int) -> None:
    images, semantics = torch.rand(2, 3, *size) * 2 - 1, torch.randn(2, 5)
    assert Decoder(5, cells, width=16)(semantics, size).shape == images.shape
    generated = Generator(5, cells, width=4, blocks=1, decoder_width=16)(images, semantics)
    assert generated.shape == images.shape
    assert generated.abs().max().item() < 1


def test_generated_image_does_not_depend_on_the_batch() -> None:
    generator = Generator(5, 1, width=4, blocks=1, decoder_width=16)
    images, semantics = torch.rand(3, 3, 16, 16), torch.randn(3, 5)
    alone = [generator(images[row : row + 1], semantics[row : row + 1]) for row in range(3)]
    assert torch.allclose(generator(images, semantics), torch.cat(alone), atol=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (16, 48)])
def test_generator_for_a_state_has_matching_sizes(size: tuple[int, int], knowledge: Knowledge) -> None:
    trained = ATTACK.build_generator(replace(knowledge.facts, image_size=size))
    like = ATTACK.build_generator_for_state(trained.state_dict())
    like.load_state_dict(trained.state_dict())
    images, semantics = torch.rand(2, 3, *size), torch.randn(2, PROTOTYPES.semantic)
    assert torch.equal(like(images, semantics), trained(images, semantics))


def test_module_is_frozen(knowledge: Knowledge, prototypes: State) -> None:
    state = ATTACK.build_generator(knowledge.facts).state_dict()
    module = ATTACK.module(state | {f"prototypes/{name}": weight for name, weight in prototypes.items()}, CPU)
    assert isinstance(module, TargetedGenerator)
    assert not any(inner.training for inner in module.modules())
    assert not any(weight.requires_grad for weight in module.parameters())


@pytest.mark.usefixtures("smooth_activations")
def test_training_matches_the_published_loop(
    knowledge: Knowledge, prototypes: State, fit: Callable[..., State], tmp_path: Path
) -> None:
    attack = ATTACK.model_copy(update={"epochs": 2, "batch_size": 6, "adversarial": 0.7})  # four steps an epoch
    curves: Curves = {}
    state = fit(attack, record=curves.__setitem__, checkpoints=tmp_path, checkpoint_every=0)
    critic = Context(CPU, "float32", Noise(0, ()), checkpoints=tmp_path).load_checkpoint("training")["moving"]["critic"]
    expected_curves, expected_state, expected_critic = train_published_loop(attack, knowledge, prototypes)
    for name, curve in expected_curves.items():
        assert curves[name] == pytest.approx(curve, rel=1e-5), name
    for got, expected in ((state, expected_state), (critic, expected_critic)):
        for name, weight in expected.items():
            if name not in UNDETERMINED:
                assert torch.allclose(got[name], weight, rtol=0, atol=1e-4), name


def test_discriminator_runs_in_float32_at_any_precision(
    knowledge: Knowledge, prototypes: State, fit: Callable[..., State]
) -> None:
    options = {"epochs": 2, "batch_size": 6, "learning_rate": 1e-12}  # so that rounding does not accumulate
    attack = ATTACK.model_copy(update=options)
    curves: Curves = {}
    fit(attack, record=curves.__setitem__, precision="bf16")
    expected, *_ = train_published_loop(attack, knowledge, prototypes, bfloat16=True)
    for name, curve in expected.items():
        assert curves[name] == pytest.approx(curve, rel=1e-5), name


@pytest.mark.parametrize(("number", "rate"), [(1, 1.0), (50, 1.0), (51, 0.980392), (100, 0.019608)])
def test_learning_rate_of_100_epochs_is_the_published_one(number: int, rate: float) -> None:
    assert learning_rate_factor(number - 1, *ProsGAN().schedule) == pytest.approx(rate, abs=1e-6)


@pytest.mark.parametrize("epochs", [1, 2, 7, 30])
def test_learning_rate_decays_and_stays_positive(epochs: int) -> None:
    schedule = ProsGAN(epochs=epochs).schedule
    assert sum(schedule) == epochs
    rates = [learning_rate_factor(epoch, *schedule) for epoch in range(epochs)]
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] <= rates[0] <= 1


def test_hamming_loss_has_the_value_of_its_formula() -> None:
    codes, target_codes = torch.tensor([[0.5, -1.0]]), torch.tensor([[1.0, 1.0]])
    assert ProsGAN().hamming_loss(codes, target_codes).item() == pytest.approx((0.5 + 2) / 2)
    assert ProsGAN(hamming_form="squared").hamming_loss(codes, target_codes).item() == pytest.approx((0.25 + 4) / 2)


def test_codes_approach_the_prototype_of_every_target(
    knowledge: Knowledge, prototypes: State, fit: Callable[..., State]
) -> None:
    curves: Curves = {}
    state = fit(ATTACK, record=curves.__setitem__)
    assert set(curves) == {"reconstruction", "hamming", "adversarial", "critic"}
    assert {len(curve) for curve in curves.values()} == {30}
    assert curves["hamming"][-1] < 0.7 * curves["hamming"][0]
    clean = sign(knowledge.network.image(knowledge.training.images(range(6))))
    for target in range(3):
        images = run_attack(ATTACK, knowledge, state, prototypes, target)
        target_codes = sign(PROTOTYPES.module(prototypes, CPU)(torch.eye(3)[target : target + 1]).codes)
        attacked = sign(knowledge.network.image(images))
        assert float((attacked == target_codes).float().mean()) > float((clean == target_codes).float().mean()) + 0.1


def test_larger_reconstruction_weight_gives_smaller_changes(
    knowledge: Knowledge, prototypes: State, fit: Callable[..., State]
) -> None:
    clean = knowledge.training.images(range(6))
    changes = []
    for weight in (0.0, 1000.0):
        attack = ATTACK.model_copy(update={"reconstruction": weight, "epochs": 8})
        images = run_attack(attack, knowledge, fit(attack), prototypes, target=0)
        changes.append(float((images - clean).square().mean()))
    assert changes[1] < changes[0]


def test_interrupted_training_resumes_to_the_same_weights(fit: Callable[..., State], tmp_path: Path) -> None:
    attack = ATTACK.model_copy(update={"epochs": 4})
    whole = fit(attack)

    def stop_in_the_third_epoch(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(attack, checkpoints=tmp_path, checkpoint_every=0, progress=stop_in_the_third_epoch)
    assert (tmp_path / "training.pt").exists()
    resumed = fit(attack, checkpoints=tmp_path, checkpoint_every=0)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_weights_of_the_hasher_are_not_trained(knowledge: Knowledge, fit: Callable[..., State]) -> None:
    before = knowledge.network.weight.clone()
    fit(ATTACK.model_copy(update={"epochs": 1}))
    assert knowledge.network.weight.grad is None
    assert torch.equal(knowledge.network.weight, before)


def test_unsupported_image_sizes_are_refused_with_a_reason() -> None:
    facts = Facts("toy", (40, 32), ("a",), {"train": 1, "query": 1, "database": 1}, task="i2i")
    assert "got 40x32, expected multiples of 16" in (ProsGAN().supports(facts) or "")
    assert "lower `critic_depth`" in (ProsGAN().supports(replace(facts, image_size=(16, 32))) or "")
    assert ProsGAN(critic_depth=4).supports(replace(facts, image_size=(16, 32))) is None
    assert "texts" in (ProsGAN().supports(replace(facts, image_size=(32, 32), task="t2i")) or "")


def test_the_defaults_are_the_published_ones() -> None:
    attack = ProsGAN()
    assert (attack.ball, attack.goal) == (None, "targeted")
    assert (attack.epochs, attack.batch_size, attack.learning_rate, attack.critic_every) == (100, 24, 1e-4, 3)
    assert (attack.reconstruction, attack.hamming, attack.adversarial) == (100.0, 1.0, 1.0)
