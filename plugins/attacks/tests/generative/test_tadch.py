"""TA-DCH: networks, losses, training loop, unsupported inputs, and the training of a small generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from retbench_attacks.generative.discriminator import Discriminator
from retbench_attacks.generative.tadch import IMAGE_SIDES, TADCH, Generator, Translator, interleave_channel
from retbench_attacks.prototypes.tadch_prototypes import TadchPrototypes
from torch import Tensor, nn
from torch.nn import functional as F

from retbench import Batch, Context, Facts, HashNetwork, Knowledge, Noise, State, TrainingData, sign
from retbench.testing import ToyDataset

BITS, SIDE, WORDS = 8, 32, 5
CPU = torch.device("cpu")
PROTOTYPES = TadchPrototypes(hidden=8, width=16, epochs=10, batch_size=8, learning_rate=3e-3)
NETWORK_OPTIONS: dict[str, Any] = {"width": 4, "blocks": 1, "critic_width": 4, "critic_depth": 3}
UNDETERMINED = {"entry.0.bias", "halving.0.bias", "core.0.0.bias"}
"""Biases that the next normalization cancels: their gradient is rounding error, which Adam scales to full steps."""

Curves = dict[str, list[float]]
ATTACK = TADCH(
    epochs=8,
    decay_epochs=4,
    batch_size=8,
    learning_rate=5e-3,
    reconstruction=1,
    prototypes=PROTOTYPES,
    **NETWORK_OPTIONS,
)
FACTS = Facts("toy", (SIDE, SIDE), ("a",), {"train": 2, "query": 1, "database": 2}, text_width=WORDS, task="i2t")


class TextDataset(ToyDataset):
    """A toy dataset whose texts differ from its labels."""

    def facts(self) -> Facts:
        return replace(super().facts(), text_width=WORDS)

    def texts(self, split: Any, rows: Sequence[int]) -> Tensor:
        return torch.stack([torch.sin(torch.arange(1.0, WORDS + 1) * (row + 1)) for row in rows])


class LinearHasher(HashNetwork):
    """A linear hasher: for every target code there is a perturbation that reaches it."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randn(BITS, 3 * SIDE * SIDE, generator=torch.Generator().manual_seed(1))
        self.weight = torch.nn.Parameter(0.1 * weight, requires_grad=False)

    def image(self, images: Tensor) -> Tensor:
        return (images - 0.5).flatten(1) @ self.weight.T


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    dataset, network = TextDataset(side=SIDE), LinearHasher()
    facts = replace(dataset.facts(), bits=BITS, task="i2t")
    training = TrainingData(dataset, facts, CPU)
    grants: Any = {"training_codes": sign(network.image(training.images(range(len(training)))))}
    return Knowledge(network, facts, training, grants)


@pytest.fixture(scope="module")
def prototypes(knowledge: Knowledge) -> State:
    torch.manual_seed(0)
    return PROTOTYPES.fit(knowledge, Context(CPU, "float32", Noise(0, ("fit",))))


@pytest.fixture
def fit(knowledge: Knowledge, prototypes: State) -> Callable[..., State]:
    """Return a function that trains an attack as the core does."""

    def run(attack: TADCH, **services: Any) -> State:
        torch.manual_seed(0)
        ctx = Context(CPU, "float32", Noise(0, ("fit",)), {"prototypes": prototypes}, **services)
        return attack.fit(knowledge, ctx)

    return run


def queries(knowledge: Knowledge, count: int) -> Batch:
    """Return training images as queries; the target of query i is training row i + 1."""
    rows, training = torch.arange(1, count + 1), knowledge.training
    ids, images = tuple(map(str, range(count))), training.images(range(count))
    return Batch(ids, images, training.labels[:count], training.labels[rows], rows, training.texts(rows.tolist()))


def train_published_loop(attack: TADCH, knowledge: Knowledge, prototypes: State) -> tuple[Curves, State, State]:
    """Return the mean losses of each of three epochs of the published loop, and the weights of both networks."""
    noise, training, network = Noise(0, ("fit",)), knowledge.training, PROTOTYPES.module(prototypes, CPU)
    images, labels, texts = training.images(range(20)), training.labels.float(), training.texts(range(20))
    torch.manual_seed(0)
    critic = Discriminator(3, (SIDE, SIDE), width=4, depth=3)
    generator = Generator(16, (2, 1), width=4, blocks=1)
    critic_adam = torch.optim.Adam(critic.parameters(), betas=(0.5, 0.999))
    generator_adam = torch.optim.Adam(generator.parameters(), betas=(0.5, 0.999))
    curves: Curves = {"reconstruction": [], "hamming": [], "adversarial": [], "critic": []}
    for epoch, share in enumerate([1.0, 2 / 3, 1 / 3]):  # one epoch at the full learning rate and two of decay
        for adam in (critic_adam, generator_adam):
            adam.param_groups[0]["lr"] = attack.learning_rate * share
        order = noise.uniform("order", (20,), epoch)[0].argsort(stable=True)
        losses: dict[str, list[float]] = {name: [] for name in curves}
        for step, rows in enumerate([order[:6], order[6:12], order[12:18], order[18:]]):
            draws = noise.uniform("targets", (len(rows),), 4 * epoch + step)[0].tolist()
            target_rows = [int(draw * 20) for draw in draws]
            real, fake = torch.zeros(len(rows), 1), torch.ones(len(rows), 1)
            fused, target_codes, _ = network(labels[target_rows], texts[target_rows])
            clean = images[rows] * 2 - 1
            generated = generator(clean, fused)
            if step in (0, 3):
                real_error = ((critic(clean) - torch.cat([labels[rows], real], dim=1)) ** 2).mean()
                fake_error = ((critic(generated.detach()) - torch.cat([labels[target_rows], fake], dim=1)) ** 2).mean()
                critic_loss = 0.5 * (real_error + fake_error)
                critic_adam.zero_grad()
                critic_loss.backward()
                critic_adam.step()
                losses["critic"].append(critic_loss.item())
            outputs = (((generated + 1) / 2 - 0.5).reshape(len(rows), -1)) @ knowledge.network.weight.T
            if attack.victim_output == "relaxed":
                outputs = torch.tanh(outputs)
            terms = {
                "reconstruction": ((generated - clean) ** 2).mean(),
                "hamming": 1 - (outputs * target_codes).sum() / (len(rows) * BITS),
                "adversarial": ((critic(generated) - torch.cat([labels[target_rows], real], dim=1)) ** 2).mean(),
            }
            loss = attack.hamming * terms["hamming"] + attack.adversarial * terms["adversarial"]
            generator_adam.zero_grad()
            (loss + attack.reconstruction * terms["reconstruction"]).backward()
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
        generator = Generator(64, (4, 4))
    assert count_weights(generator.translator) == 48_816
    assert count_weights(generator) == 8_827_218


def test_published_translator_has_the_published_shapes() -> None:
    translator, shapes = Translator(64, (4, 4)), []
    for layer in translator.layers[1:]:
        layer.register_forward_pre_hook(lambda layer, inputs: shapes.append(tuple(inputs[0].shape[1:])))
    translated = translator(torch.randn(1, 64, 16, 16), 224)
    assert [*shapes, tuple(translated.shape[1:])] == [(48, 14, 14), (12, 56, 56), (1, 224, 224)]
    assert translated.min().item() == 0


def test_generated_images_have_the_input_size() -> None:
    assert sorted(IMAGE_SIDES) == [16, 28, 32, 56, 64, 112, 128, 224, 256]
    semantics = torch.randn(1, 16, 16, 16)
    for side, (_, *factors) in IMAGE_SIDES.items():
        assert Translator(16, factors)(semantics, side).shape == (1, 1, side, side)
        generated = Generator(16, factors, width=2, blocks=1)(torch.rand(1, 3, side, side), semantics)
        assert generated.shape == (1, 3, side, side)
        assert 0 < generated.abs().max().item() < 1


@pytest.mark.parametrize("side", sorted(IMAGE_SIDES))
def test_generator_for_a_state_has_matching_sizes(side: int) -> None:
    attack = ATTACK.model_copy(update={"width": 2})
    with torch.device("meta"):
        trained = attack.build_generator(replace(FACTS, image_size=(side, side)))
        like = attack.build_generator_for_state(trained.state_dict())
    shapes = [{name: weight.shape for name, weight in network.state_dict().items()} for network in (trained, like)]
    assert shapes[0] == shapes[1]


def test_translated_map_is_interleaved_with_the_channels() -> None:
    red, green, blue, translated = (torch.full((2, 1, 4, 4), float(value)) for value in range(4))
    mixed = interleave_channel(torch.cat([red, green, blue], dim=1), translated)
    assert torch.equal(mixed, torch.cat([red, translated, green, translated, blue, translated], dim=1))


def norm_relu(features: Tensor) -> Tensor:
    mean, spread = features.mean((2, 3), keepdim=True), features.var((2, 3), keepdim=True, unbiased=False)
    return ((features - mean) / torch.sqrt(spread + 1e-5)).clamp(min=0)


def test_generator_computes_the_published_function() -> None:
    torch.manual_seed(0)
    generator = Generator(16, (2, 1), width=4, blocks=1).double()
    own, images, semantics = (
        generator.state_dict(),
        torch.rand(2, 3, 32, 32).double(),
        torch.randn(2, 16, 16, 16).double(),
    )
    translated = semantics
    for layer, (stride, padding) in enumerate([(1, 1), (2, 1), (1, 1)]):
        translated = norm_relu(
            F.conv_transpose2d(translated, own[f"translator.layers.{layer}.0.weight"], None, stride, padding)
        )
    mixed = torch.cat(
        [translated if odd else images[:, at : at + 1] for at in range(3) for odd in (False, True)], dim=1
    )
    full = norm_relu(F.conv2d(mixed, own["entry.0.weight"], own["entry.0.bias"], 1, 3))
    half = norm_relu(F.conv2d(full, own["halving.0.weight"], own["halving.0.bias"], 2, 1))
    deep = norm_relu(F.conv2d(half, own["core.0.0.weight"], own["core.0.0.bias"], 2, 1))
    change = F.conv2d(
        norm_relu(F.conv2d(deep, own["core.1.change.0.0.weight"], None, 1, 1)),
        own["core.1.change.1.weight"],
        None,
        1,
        1,
    )
    mean, spread = change.mean((2, 3), keepdim=True), change.var((2, 3), keepdim=True, unbiased=False)
    deep = deep + (change - mean) / torch.sqrt(spread + 1e-5)
    up = norm_relu(F.conv_transpose2d(deep, own["core.2.0.weight"], None, 2, 1))
    up = norm_relu(F.conv2d(torch.cat([half, up], dim=1), own["doubling.0.0.weight"], None, 1, 1))
    up = norm_relu(F.conv_transpose2d(up, own["doubling.1.0.weight"], None, 2, 1))
    up = norm_relu(F.conv2d(torch.cat([full, up], dim=1), own["exit.0.0.weight"], None, 1, 1))
    up = norm_relu(F.conv2d(up, own["exit.1.0.weight"], None, 1, 1))
    expected = torch.tanh(F.conv2d(torch.cat([images, up], dim=1), own["last.weight"], None, 1, 1))
    assert torch.allclose(generator(images, semantics), expected, atol=1e-10)


@pytest.mark.usefixtures("smooth_activations")
@pytest.mark.parametrize("victim_output", ["relaxed", "logits"])
def test_training_matches_the_published_loop(
    knowledge: Knowledge, prototypes: State, fit: Callable[..., State], tmp_path: Path, victim_output: str
) -> None:
    changed = {
        "epochs": 1,
        "decay_epochs": 2,
        "batch_size": 6,
        "adversarial": 0.7,
        "learning_rate": 1e-3,
        "victim_output": victim_output,
    }
    attack = ATTACK.model_copy(update=changed)
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


def test_codes_approach_the_prototype_of_every_target(
    knowledge: Knowledge, prototypes: State, fit: Callable[..., State]
) -> None:
    curves: Curves = {}
    state = fit(ATTACK, record=curves.__setitem__)
    assert {len(curve) for curve in curves.values()} == {12}
    assert curves["hamming"][-1] < 0.7 * curves["hamming"][0]
    batch, network = queries(knowledge, 6), PROTOTYPES.module(prototypes, CPU)
    whole = state | {f"prototypes/{name}": weight for name, weight in prototypes.items()}
    images = ATTACK.perturb(knowledge, batch, ATTACK.module(whole, CPU), Noise(0, batch.ids))
    target_codes = sign(network(batch.target_labels.float(), batch.target_texts).codes)
    agreements = [
        float((sign(knowledge.network.image(it)) == target_codes).float().mean()) for it in (batch.images, images)
    ]
    assert agreements[1] > agreements[0] + 0.1


def test_generated_image_depends_on_the_target_text(
    knowledge: Knowledge, prototypes: State, fit: Callable[..., State]
) -> None:
    attack = ATTACK.model_copy(update={"epochs": 1, "decay_epochs": 0})
    batch = queries(knowledge, 2)
    module = attack.module(fit(attack) | {f"prototypes/{name}": weight for name, weight in prototypes.items()}, CPU)
    images, other = (
        attack.perturb(knowledge, it, module, Noise(0, batch.ids))
        for it in (batch, batch._replace(target_texts=batch.target_texts.flip(0)))
    )
    assert images.dtype == torch.float32
    assert 0 <= images.min().item() <= images.max().item() <= 1
    assert (images - other).abs().max().item() > 1e-3


def test_empty_batch_gives_no_images_and_missing_texts_are_an_error(knowledge: Knowledge) -> None:
    batch = queries(knowledge, 2)
    empty = Batch((), *(tensor[:0] for tensor in batch[1:]))
    assert ATTACK.perturb(knowledge, empty, nn.Module(), Noise(0, ())).shape == (0, 3, SIDE, SIDE)
    with pytest.raises(LookupError, match="no target texts"):
        ATTACK.query_targets(batch._replace(target_texts=None))


def test_interrupted_training_resumes_to_the_same_weights(fit: Callable[..., State], tmp_path: Path) -> None:
    attack = ATTACK.model_copy(update={"epochs": 1, "decay_epochs": 3})
    whole = fit(attack)

    def stop_in_the_third_epoch(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(attack, checkpoints=tmp_path, checkpoint_every=0, progress=stop_in_the_third_epoch)
    assert (tmp_path / "training.pt").exists()
    resumed = fit(attack, checkpoints=tmp_path, checkpoint_every=0)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"text_width": 0}, "needs the text of a target: dataset toy has no texts"),
        ({"image_size": (48, 48)}, "got 48x48, expected a square with side 16, 28, 32, 56, 64, 112, 128, 224, 256"),
        ({"image_size": (14, 14)}, "got 14x14, expected a square"),
        ({"image_size": (32, 64)}, "got 32x64, expected a square"),
        ({"image_size": (28, 28)}, "lower `critic_depth`"),
        ({"task": "t2i"}, "queries of task t2i are texts"),
    ],
    ids=str,
)
def test_unsupported_datasets_and_tasks_are_refused_with_a_reason(change: dict[str, Any], reason: str) -> None:
    assert TADCH().supports(FACTS) is None
    assert reason in (TADCH().supports(replace(FACTS, **change)) or "")


def test_shallower_discriminator_supports_small_images() -> None:
    assert TADCH(critic_depth=4).supports(replace(FACTS, image_size=(28, 28))) is None


def test_the_defaults_are_the_published_ones() -> None:
    attack = TADCH()
    assert (attack.ball, attack.goal, attack.adaptive) == (None, "targeted", False)
    assert (attack.schedule, attack.batch_size, attack.learning_rate, attack.critic_every) == ((50, 100), 24, 1e-4, 3)
    assert (attack.reconstruction, attack.hamming, attack.adversarial) == (150.0, 5.0, 1.0)
    assert (attack.width, attack.blocks, attack.critic_width, attack.critic_depth) == (64, 6, 64, 5)
    assert attack.victim_output == "relaxed"
