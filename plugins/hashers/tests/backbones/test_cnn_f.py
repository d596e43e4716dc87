"""CNN-F against its table, published values and a reference written from the paper; its weight files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from retbench_hashers.backbones import cnn_f
from retbench_hashers.backbones.cnn_f import CnnF, CnnFBackbone, LrnVariant
from safetensors.torch import save_file
from scipy.io import savemat
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from retbench import Context, Noise, OptionError, State, TrainingData, UserError
from retbench.testing import ToyDataset, check_component

KERNELS = {
    "conv1": (64, 3, 11, 11),
    "conv2": (256, 64, 5, 5),
    "conv3": (256, 256, 3, 3),
    "conv4": (256, 256, 3, 3),
    "conv5": (256, 256, 3, 3),
    "fc6": (4096, 256, 6, 6),
    "fc7": (4096, 4096, 1, 1),
}
MIDDLE = [("conv3", (256, 13, 13)), ("conv4", (256, 13, 13)), ("conv5", (256, 13, 13))]
LAST = [("pool", (256, 6, 6)), ("fc6", (4096, 1, 1)), ("fc7", (4096, 1, 1))]
SIX_CHANNELS = torch.tensor([38.9418, 96.3558, 80.8496, 4.1581, 75.6803, 98.2453]).reshape(1, 6, 1, 1)


class Narrow(CnnF):
    """The network with hidden layers of 8, small enough to run."""

    width = 8


def build_with_random_mean(lrn: LrnVariant = "port", extra_padding: bool = False) -> CnnF:
    """Return a narrow network whose mean image differs from pixel to pixel."""
    torch.manual_seed(0)
    network = Narrow(lrn, extra_padding).eval().requires_grad_(False)
    network.mean += 20 * torch.randn_like(network.mean)
    return network


def normalize_channels(maps: Tensor, lrn: LrnVariant) -> Tensor:
    """Return the maps after local response normalization by its definition, in a loop over channels."""
    before, after, alpha = (1, 0, 5e-5) if lrn == "port" else (2, 2, 1e-4)
    squares, channels = maps.double().square(), maps.shape[1]
    sums = [squares[:, max(c - before, 0) : c + after + 1].sum(dim=1) for c in range(channels)]
    return (maps.double() / (2 + alpha * torch.stack(sums, dim=1)) ** 0.75).float()


def reference_features(network: CnnF, images: Tensor, lrn: LrnVariant, extra_padding: bool) -> Tensor:
    weights = network.state_dict()

    def layer(maps: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        return F.conv2d(maps, weights[f"{name}.weight"], weights[f"{name}.bias"], stride, padding).relu()

    maps = normalize_channels(layer(images * 255 - weights["mean"], "conv1", stride=4), lrn)
    border = int(extra_padding)
    maps = F.max_pool2d(F.pad(maps, (border, border + 1, border, border + 1)), 3, 2)
    maps = F.max_pool2d(normalize_channels(layer(maps, "conv2", padding=2), lrn), 3, 2)
    for name in ("conv3", "conv4", "conv5"):
        maps = layer(maps, name, padding=1)
    hidden = F.max_pool2d(maps, 3, 2).flatten(1)
    for name in ("fc6", "fc7"):
        hidden = F.linear(hidden, weights[f"{name}.weight"].flatten(1), weights[f"{name}.bias"]).relu()
    return hidden


def test_names_and_shapes_of_weights_are_those_of_the_table() -> None:
    with torch.device("meta"):
        network = CnnF()
    expected = {f"{name}.weight": shape for name, shape in KERNELS.items()}
    expected |= {f"{name}.bias": shape[:1] for name, shape in KERNELS.items()}
    assert {name: tuple(weight.shape) for name, weight in network.named_parameters()} == expected
    assert round(sum(weight.numel() for weight in network.parameters()) / 1e6, 2) == 56.74


def test_the_mean_image_is_a_buffer_in_the_state() -> None:
    with torch.device("meta"):
        network = CnnF()
    assert network.mean.device.type == "meta"
    assert network.state_dict()["mean"].shape == (3, 224, 224)


def test_the_initial_mean_image_has_the_mean_color_of_imagenet() -> None:
    colors = torch.tensor([123.675, 116.28, 103.53])
    torch.testing.assert_close(Narrow().mean, colors.reshape(3, 1, 1).expand(3, 224, 224))


@pytest.mark.parametrize("extra_padding", [False, True])
def test_sizes_of_maps_are_those_of_the_table(extra_padding: bool) -> None:
    sizes: list[tuple[str, tuple[int, ...]]] = []
    with torch.device("meta"):
        network = CnnF(extra_padding=extra_padding)
        for name, layer in network.named_children():
            layer.register_forward_hook(lambda _, __, maps, name=name: sizes.append((name, tuple(maps.shape[1:]))))
        assert network(torch.empty(1, 3, 224, 224)).shape == (1, 4096)
    side = 28 if extra_padding else 27
    assert sizes == [
        *[("conv1", (64, 54, 54)), ("norm", (64, 54, 54)), ("pool1", (64, side, side))],
        *[("conv2", (256, side, side)), ("norm", (256, side, side)), ("pool", (256, 13, 13))],
        *[*MIDDLE, *LAST],
    ]


def test_an_image_costs_1_44_gflop() -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        CnnF()(torch.empty(1, 3, 224, 224))
    assert round(counter.get_total_flops() / 1e9, 2) == 1.44


@pytest.mark.parametrize(
    ("lrn", "expected"),
    [
        ("port", [22.5177, 47.8902, 37.4414, 2.2065, 40.6910, 45.7690]),
        ("exact", [14.4980, 35.8606, 27.0367, 1.2213, 25.8262, 38.0704]),
    ],
)
def test_local_response_normalization_has_the_published_values(lrn: LrnVariant, expected: list[float]) -> None:
    found = Narrow(lrn).norm(SIX_CHANNELS).flatten()
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=1e-4)


@pytest.mark.parametrize("extra_padding", [False, True])
@pytest.mark.parametrize("lrn", ["port", "exact"])
def test_features_equal_the_reference(lrn: LrnVariant, extra_padding: bool) -> None:
    network, images = build_with_random_mean(lrn, extra_padding), torch.rand(2, 3, 224, 224)
    features = network(images)
    torch.testing.assert_close(features, reference_features(network, images, lrn, extra_padding))
    assert features.std() > 0


def test_both_options_change_the_features() -> None:
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    plain = build_with_random_mean()(images)
    for changed in (build_with_random_mean(lrn="exact"), build_with_random_mean(extra_padding=True)):
        assert (changed(images) - plain).norm() > 1e-2 * plain.norm()


def test_transposing_kernels_mean_and_images_together_changes_nothing() -> None:
    network, images = build_with_random_mean(), torch.rand(2, 3, 224, 224)
    upright = network(images)
    transposed_images_alone = network(images.mT)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.copy_(layer.weight.mT.clone())
    transposed_kernels = network(images)
    network.mean.copy_(network.mean.mT.clone())
    torch.testing.assert_close(network(images.mT), upright, rtol=1e-5, atol=1e-5)
    for different in (transposed_images_alone, transposed_kernels, network(images)):
        assert (different - upright).norm() > 1e-2 * upright.norm()


def test_every_pixel_that_a_convolution_covers_has_a_gradient() -> None:
    images = torch.rand(1, 3, 224, 224, requires_grad=True)
    build_with_random_mean()(images).sum().backward()
    assert images.grad is not None
    # The last convolution of conv1 ends at pixel 53 * 4 + 11 = 223: no convolution covers the last row and column.
    assert (images.grad[..., :223, :223] != 0).all()
    assert (images.grad[..., 223, :] == 0).all()
    assert (images.grad[..., :, 223] == 0).all()


CPU = torch.device("cpu")
DATASET = ToyDataset(side=32)
FACTS = replace(DATASET.facts(), image_size=(224, 224))
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Shrink hidden layers to 8, so that a weight file has 10 MB instead of 227, and hide published weights."""
    monkeypatch.setattr(CnnF, "width", 8)
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path / "weights"))


@pytest.fixture
def state(narrow: None) -> State:
    torch.manual_seed(0)
    network = CnnF()
    return {**network.state_dict(), "mean": network.mean + torch.randn(3, 224, 224)}


@pytest.fixture
def published(state: State, tmp_path: Path) -> Iterator[Path]:
    """Write a file in the current layout to the location of the published one."""
    path = tmp_path / "weights" / "imagenet-vgg-f.mat"
    path.parent.mkdir()
    write(path, state)
    return path


def cell(values: list[Any]) -> np.ndarray[Any, Any]:
    row = np.empty((1, len(values)), dtype=object)
    row[0, :] = values
    return row


def write(path: Path, state: State) -> None:
    layers = []
    for name in LAYERS:
        kernel, bias = state[f"{name}.weight"].numpy().transpose(2, 3, 1, 0), state[f"{name}.bias"].numpy()[:, None]
        weights = np.empty((1, 2), dtype=object)
        weights[0, 0], weights[0, 1] = kernel, bias
        layers += [{"name": name, "type": "conv", "weights": weights}, {"name": f"relu{name[-1]}", "type": "relu"}]
    normalization = {"averageImage": state["mean"].numpy().transpose(1, 2, 0)}
    savemat(path, {"layers": cell(layers), "meta": {"normalization": normalization}})


def fit(part: CnnFBackbone) -> State:
    context = Context(CPU, "float32", Noise(0, (part.name,)))
    return part.fit(TrainingData(DATASET, DATASET.facts(), CPU), context)


def equal(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_the_published_file_is_read_from_the_folder_of_weights(published: Path, state: State) -> None:
    part = CnnFBackbone()
    assert part.supports(FACTS) is None
    assert equal(fit(part), state)
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    assert part.spec(FACTS)["options"] == {"weights": f"sha256:{digest}", "lrn": "port", "extra_padding": False}


def test_the_module_has_the_weights_of_the_file_and_the_options(published: Path, state: State) -> None:
    images = torch.rand(1, 3, 224, 224)
    for options in ({}, {"lrn": "exact"}, {"extra_padding": True}):
        network = CnnF(**options).requires_grad_(False).eval()
        network.load_state_dict(state)
        part = CnnFBackbone(**options)
        assert torch.equal(part.module(fit(part), CPU)(images), network(images))


@pytest.mark.usefixtures("narrow")
def test_missing_published_weights_are_reported_with_their_location(tmp_path: Path) -> None:
    part = CnnFBackbone()
    (published,) = part.downloads(FACTS)
    assert published.path == tmp_path / "weights/imagenet-vgg-f.mat"
    assert published.problem() == (
        f"missing: expected {tmp_path}/weights/imagenet-vgg-f.mat, published at "
        "https://www.vlfeat.org/matconvnet/models/imagenet-vgg-f.mat"
    )
    assert "f666c61dc968c413ef664a7e17b01144" in published.license
    assert "its sha256 is not published" in published.manual_steps
    assert part.files(FACTS) == {}
    assert part.caveats(FACTS) == ()
    with pytest.raises(UserError, match=r"weights .*imagenet-vgg-f.mat: no such file"):
        fit(part)


def test_a_file_with_another_md5_than_the_published_one_has_a_caveat(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    md5 = hashlib.md5(published.read_bytes(), usedforsecurity=False).hexdigest()
    assert CnnFBackbone().caveats(FACTS) == (
        "imagenet-vgg-f.mat is not the file that MatConvNet lists: "
        f"md5 got {md5}, expected f666c61dc968c413ef664a7e17b01144",
    )
    monkeypatch.setattr(cnn_f, "MD5", md5)
    assert CnnFBackbone().caveats(FACTS) == ()


@pytest.mark.parametrize("name", ["mine.mat", "mine.pth", "mine.pt", "mine.safetensors"])
def test_a_given_file_is_identified_by_its_bytes_not_its_path(tmp_path: Path, state: State, name: str) -> None:
    path, copy = tmp_path / name, tmp_path / f"copy-{name}"
    save = {".mat": lambda: write(path, state), ".safetensors": lambda: save_file(state, path)}
    save.get(path.suffix, lambda: torch.save(state, path))()
    copy.write_bytes(path.read_bytes())
    first, second = (CnnFBackbone(weights=str(file)) for file in (path, copy))
    assert first.supports(FACTS) is None
    assert first.spec(FACTS) == second.spec(FACTS)
    assert first.caveats(FACTS) == first.downloads(FACTS) == ()
    assert equal(fit(first), state)


def test_a_file_of_another_network_is_refused_in_planning(tmp_path: Path, state: State) -> None:
    path = tmp_path / "mine.mat"
    write(path, {**state, "conv2.weight": torch.ones(64, 64, 5, 5)})
    with pytest.raises(UserError, match=r"not the weights of cnn-f \(current layout\): kernel of conv2: got float32 "):
        CnnFBackbone(weights=str(path)).supports(FACTS)
    torch.save({"conv1.weight": torch.ones(64, 3, 11, 11)}, tmp_path / "mine.pth")
    with pytest.raises(UserError, match="not the weights of cnn-f: missing mean and 13 more"):
        CnnFBackbone(weights=str(tmp_path / "mine.pth")).supports(FACTS)


def test_a_last_layer_in_a_state_dict_is_dropped(tmp_path: Path, state: State) -> None:
    torch.save({**state, "fc8.weight": torch.ones(1000, 8, 1, 1), "fc8.bias": torch.ones(1000)}, tmp_path / "mine.pth")
    assert equal(fit(CnnFBackbone(weights=str(tmp_path / "mine.pth"))), state)


@pytest.mark.usefixtures("narrow")
def test_a_missing_given_file_skips_the_cell(tmp_path: Path) -> None:
    part = CnnFBackbone(weights=str(tmp_path / "mine.mat"))
    assert part.supports(FACTS) == (
        f"weight file missing: got '{tmp_path}/mine.mat', expected an existing file, imagenet or random"
    )
    assert part.files(FACTS) == {}


@pytest.mark.parametrize("size", [(32, 32), (224, 225), (256, 256)])
def test_images_of_another_size_than_the_mean_image_are_refused(size: tuple[int, int]) -> None:
    part = CnnFBackbone(weights="random")
    assert part.supports(replace(FACTS, image_size=size)) == (
        f"wrong image size: got {size[0]}x{size[1]}, expected 224x224, the size of its mean image"
    )


@pytest.mark.usefixtures("narrow")
def test_random_weights_need_no_file_and_have_a_caveat() -> None:
    part = CnnFBackbone(weights="random")
    assert part.supports(FACTS) is None
    assert part.files(FACTS) == {}
    assert part.caveats(FACTS) == ("backbone cnn-f starts from random weights, not from ImageNet's",)
    torch.manual_seed(0)
    first, second = fit(part), fit(part)
    torch.manual_seed(0)
    assert equal(fit(part), first)
    assert not torch.equal(first["conv1.weight"], second["conv1.weight"])


@pytest.mark.parametrize("weights", ["imagenett", "weights", "weights.bin", ""])
def test_invalid_weights_are_an_option_error(weights: str) -> None:
    with pytest.raises(OptionError, match=r"part cnn-f: weights: .*or a path that ends in .mat, .pth, .pt, .safet"):
        CnnFBackbone.create({"weights": weights})


@pytest.mark.usefixtures("narrow")
def test_it_meets_the_contract_of_a_part() -> None:
    check_component(CnnFBackbone(weights="random"), ToyDataset(side=224, database=2))
