"""Options, training and network that the supervised hashers share."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from retbench_hashers.backbones.conv import Conv, ConvFeatures
from retbench_hashers.backbones.features import Features
from retbench_hashers.backbones.pretrained import Pretrained
from retbench_hashers.backbones.resnet import ResNet
from retbench_hashers.backbones.vgg import VGG
from retbench_hashers.supervised.csq import CSQ
from retbench_hashers.supervised.dph import DPH
from retbench_hashers.supervised.dpsh import DPSH
from retbench_hashers.supervised.dsh import DSH
from retbench_hashers.supervised.hashnet import HashNet
from retbench_hashers.supervised.supervised_hasher import SupervisedHasher, SupervisedNetwork
from retbench_hashers.training import TrainingStep
from torch import Tensor

from retbench import Context, Noise, OptionError, State, TrainingData, sign, unit_images
from retbench.testing.toys import ToyDataset

CPU = torch.device("cpu")
DATASET = ToyDataset(side=16)


def fit(hasher: SupervisedHasher, precision: Any = "float32", **services: Any) -> tuple[State, dict[str, Any]]:
    """Return state and curves of a hasher of 12 bits on a trained backbone."""
    curves: dict[str, Any] = {}
    data = TrainingData(DATASET, replace(DATASET.facts(), bits=12), CPU)
    torch.manual_seed(0)
    context = Context(
        CPU, precision, Noise(0, ("fit",)), {"backbone": warm_backbone(precision)}, record=curves.__setitem__
    )
    return hasher.fit(data, replace(context, **services)), curves


@cache
def warm_backbone(precision: Any) -> State:
    data = TrainingData(DATASET, DATASET.facts(), CPU)
    return Conv(epochs=4, batch_size=8).fit(data, Context(CPU, precision, Noise(0, ("conv",))))


class RecordingDPSH(DPSH):
    """Records the arguments of the loss."""

    calls: ClassVar[list[tuple[Tensor, Tensor, Tensor]]] = []
    memory_addresses: ClassVar[set[int]] = set()

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        self.calls.append((outputs.detach(), rows, memory.clone()))
        self.memory_addresses.add(memory.data_ptr())
        return super().loss(outputs, labels, rows, memory)


def test_the_memory_starts_at_zero_and_stores_each_batch_before_its_loss() -> None:
    RecordingDPSH.calls.clear()
    RecordingDPSH.memory_addresses.clear()
    fit(RecordingDPSH(epochs=1, batch_size=8))
    (first, rows, memory), *_, (_, _, full) = RecordingDPSH.calls
    assert torch.equal(memory[rows], first)
    assert int(memory.any(dim=1).sum()) == len(rows)
    assert full.any(dim=1).all()
    assert not memory.requires_grad
    assert len(RecordingDPSH.memory_addresses) == 1, "the memory was copied"


class RecordingHashNet(HashNet):
    """Records the steps at which its codes were relaxed."""

    steps: ClassVar[list[TrainingStep]] = []

    def outputs(self, logits: Tensor, step: TrainingStep) -> Tensor:
        self.steps.append(step)
        return super().outputs(logits, step)


def test_outputs_are_relaxed_once_in_each_training_step_and_not_in_encoding() -> None:
    RecordingHashNet.steps.clear()
    hasher = RecordingHashNet(epochs=2, batch_size=10)
    state, _ = fit(hasher)
    hasher.network(state, CPU).image(torch.rand(2, 3, 16, 16))
    assert RecordingHashNet.steps == [(0, 0), (0, 1), (1, 2), (1, 3)]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("kind", [DPSH, DPH, HashNet, CSQ, DSH])
def test_codes_of_images_that_share_a_class_are_closer(kind: type[SupervisedHasher], precision: str) -> None:
    hasher = kind.create({"epochs": 4, "batch_size": 8})
    state, curves = fit(hasher, precision)
    labels = DATASET.labels("database")
    images = unit_images(DATASET.images("database", range(len(labels))), CPU)
    with torch.no_grad():
        codes = sign(hasher.network(state, CPU).eval().image(images)).float()
    related = labels.float() @ labels.T.float() > 0
    agreement = codes @ codes.T / codes.shape[1]
    assert agreement[related].mean() > agreement[~related].mean() + 0.3
    assert len(curves["loss"]) == 4


def test_the_backbone_is_trained_further_without_changing_the_part_in_place() -> None:
    data = TrainingData(DATASET, replace(DATASET.facts(), bits=12), CPU)
    backbone = Conv().features().to_empty(device=CPU)
    for weight in backbone.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    for buffer in backbone.buffers():
        buffer.fill_(1)
    state = backbone.state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    after = DPSH(epochs=1).fit(data, Context(CPU, "float32", Noise(0, ("fit",)), {"backbone": state}))
    assert all(torch.equal(before[name], state[name]) for name in state)
    assert not torch.equal(after["features.hidden.weight"], state["hidden.weight"])


def test_hashers_with_the_same_warm_up_share_the_backbone() -> None:
    facts = DATASET.facts()
    assert DPSH(epochs=3).parts(facts) == DPH(peak_learning_rate=1e-4).parts(facts)
    assert DPSH(warmup_epochs=3).parts(facts) != DPSH().parts(facts)


def test_hashers_on_the_same_pretrained_backbone_share_it_with_any_training_options() -> None:
    facts = DATASET.facts()
    hashers = DPSH(backbone="vgg11", batch_size=24, normalize=True), CSQ(backbone="vgg11", warmup_epochs=1)
    assert {hasher.parts(facts)["backbone"] for hasher in hashers} == {Pretrained(architecture="vgg11")}


@pytest.mark.parametrize(
    ("backbone", "weights"), [("conv", "warm-up"), ("vgg11", "imagenet"), ("resnet50", "imagenet")]
)
def test_auto_weights_depend_on_the_backbone(backbone: str, weights: str) -> None:
    hasher = DPSH.create({"backbone": backbone})
    assert hasher.weights == weights
    assert hasher == DPSH.create({"backbone": backbone, "weights": weights})


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"backbone": "resnet"}, "backbone: "),
        ({"backbone": "conv", "weights": "imagenet"}, "weights: .*conv takes warm-up only"),
        ({"backbone": "vgg11", "weights": "warm-up"}, "weights: .*every other backbone imagenet, random"),
        ({"backbone": "vgg11", "weights": "imagenett"}, "weights: .*expected imagenet, random, or a path"),
        ({"backbone": "conv", "normalize": True}, r"normalize: .*conv scales pixels to \[-1, 1\] itself"),
        ({"optimizer": "adam"}, "optimizer: "),
        ({"momentum": 1}, "momentum: "),
    ],
)
def test_invalid_or_contradictory_options_are_errors(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError, match=f"hasher dpsh: {problem}"):
        DPSH.create(options)


def test_the_recipe_of_a_hasher_holds_the_digest_of_its_weight_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(b"weights")
    facts = DATASET.facts()
    options: Any = DPSH(backbone="vgg11", weights=str(path)).spec(facts)["options"]
    assert options["weights"] == f"sha256:{hashlib.sha256(b'weights').hexdigest()}"


@pytest.mark.parametrize("backbone", ["alexnet", "vgg11", "vgg16", "resnet18", "resnet50"])
def test_every_backbone_encodes_images_of_224_pixels(backbone: str) -> None:
    hasher = DPH.create({"backbone": backbone, "normalize": True})
    meta = torch.device("meta")
    with meta:
        features = Pretrained.create({"architecture": backbone}).build()
        state = SupervisedNetwork(features, 48, normalize=True).state_dict()
    network = hasher.network(state, meta).eval()
    assert network.image(torch.empty(2, 3, 224, 224, device=meta)).shape == (2, 48)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop"])
def test_a_resumed_fit_ends_with_the_same_bits(optimizer: str, tmp_path: Path) -> None:
    hasher = DPSH.create({"epochs": 4, "batch_size": 8, "optimizer": optimizer, "learning_rate": 1e-3, "momentum": 0.9})

    def kill(done: int, total: int) -> None:
        if done == 8:
            raise InterruptedError

    uninterrupted, curves = fit(hasher)
    with pytest.raises(InterruptedError):
        fit(hasher, checkpoints=tmp_path, checkpoint_every=0.0, progress=kill)
    resumed, resumed_curves = fit(hasher, checkpoints=tmp_path, checkpoint_every=0.0)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in uninterrupted.items())
    assert curves == resumed_curves


def test_sgd_and_rmsprop_use_learning_rate_and_not_the_peak() -> None:
    """With a rate of 1e-12 the weights stay at those of the backbone; `peak_learning_rate` is not used."""
    unchanged, _ = fit(
        DPSH(epochs=1, batch_size=8, optimizer="sgd", learning_rate=1e-12, weight_decay=0, peak_learning_rate=1)
    )
    moved, _ = fit(DPSH(epochs=1, batch_size=8, optimizer="sgd", learning_rate=0.05))
    start, _ = fit(DPSH(epochs=1, batch_size=8, optimizer="rmsprop", learning_rate=1e-12))
    name = "features.hidden.weight"
    torch.testing.assert_close(unchanged[name], start[name], rtol=0, atol=1e-9)
    assert not torch.allclose(moved[name], start[name], rtol=0, atol=1e-6)


class ChannelMeans(Features):
    """The mean of each channel."""

    width = 3
    min_side = 1

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))


def test_a_vgg_hasher_of_32_bits_has_the_published_number_of_weights() -> None:
    with torch.device("meta"):
        network = SupervisedNetwork(VGG(11), 32)
    assert sum(weight.numel() for weight in network.parameters()) == 128_897_440


@pytest.mark.parametrize("bits", [12, 48, 128])
def test_the_network_returns_one_logit_per_bit(bits: int) -> None:
    assert SupervisedNetwork(ConvFeatures(), bits).eval().image(torch.rand(2, 3, 8, 8)).shape == (2, bits)


def test_normalize_standardizes_each_channel_by_imagenets_mean_and_deviation() -> None:
    network = SupervisedNetwork(ChannelMeans(), 8, normalize=True)
    images = torch.rand(4, 3, 5, 5)
    normalized = torch.stack(
        [(images[:, 0] - 0.485) / 0.229, (images[:, 1] - 0.456) / 0.224, (images[:, 2] - 0.406) / 0.225], dim=1
    )
    torch.testing.assert_close(network.image(images), network.hash(normalized.mean(dim=(2, 3))))


def test_without_normalize_the_backbone_gets_raw_pixels() -> None:
    network, images = SupervisedNetwork(ChannelMeans(), 8), torch.rand(4, 3, 5, 5)
    assert torch.equal(network.image(images), network.hash(images.mean(dim=(2, 3))))


def test_normalization_is_not_trained_and_survives_the_meta_device() -> None:
    network = SupervisedNetwork(ChannelMeans(), 8, normalize=True)
    assert {name for name, _ in network.named_parameters()} == {"hash.weight", "hash.bias"}
    with torch.device("meta"):
        copy = SupervisedNetwork(ChannelMeans(), 8, normalize=True)
    copy.to_empty(device="cpu").load_state_dict(network.state_dict())
    images = torch.rand(2, 3, 4, 4)
    assert torch.equal(network.image(images), copy.image(images))


def test_the_hash_layer_over_a_residual_network_starts_near_zero() -> None:
    torch.manual_seed(0)
    layer = SupervisedNetwork(ResNet(18), 128).hash
    assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not layer.bias.any()


def test_the_hash_layer_over_other_backbones_starts_within_the_bounds_of_a_linear_layer() -> None:
    torch.manual_seed(0)
    layer = SupervisedNetwork(ConvFeatures(), 128).hash
    assert 0.99 / 16 < layer.weight.abs().max().item() <= 1 / 16
    assert layer.bias.any()
