"""VGG against torchvision's published numbers, names and a forward pass written from its table."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from retbench_hashers.backbones.vgg import VGG
from torch import Tensor, nn
from torch.nn import functional as F

ROWS = {
    11: "64 M 128 M 256 256 M 512 512 M 512 512 M",
    16: "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
}


class Narrow(VGG):
    """The network with hidden layers of 8, small enough to run."""

    width = 8


def convolutions(depth: int) -> dict[int, tuple[int, int]]:
    """Return outputs and inputs of each convolution by its layer number; a rectifier follows each convolution."""
    found, number, inputs = {}, 0, 3
    for word in ROWS[depth].split():
        if word == "M":
            number += 1
            continue
        found[number] = (int(word), inputs)
        number, inputs = number + 2, int(word)
    return found


def reference_features(weights: dict[str, Tensor], images: Tensor, depth: int) -> Tensor:
    numbers, maps = iter(convolutions(depth)), images
    for word in ROWS[depth].split():
        if word == "M":
            maps = F.max_pool2d(maps, 2)
        else:
            layer = f"features.{next(numbers)}"
            maps = F.conv2d(maps, weights[f"{layer}.weight"], weights[f"{layer}.bias"], padding=1).relu()
    hidden = F.adaptive_avg_pool2d(maps, (7, 7)).reshape(len(images), -1)
    for index in (0, 3):
        hidden = F.linear(hidden, weights[f"classifier.{index}.weight"], weights[f"classifier.{index}.bias"]).relu()
    return hidden


@pytest.mark.parametrize(("depth", "size"), [(11, 132_863_336), (16, 138_357_544)])
def test_the_number_of_weights_is_the_published_one_without_the_classifier(depth: Literal[11, 16], size: int) -> None:
    with torch.device("meta"):
        network = nn.ModuleList([VGG(depth), nn.Linear(4096, 1000)])
    assert sum(weight.numel() for weight in network.parameters()) == size


@pytest.mark.parametrize("depth", [11, 16])
def test_names_and_shapes_of_weights_are_the_published_ones(depth: Literal[11, 16]) -> None:
    with torch.device("meta"):
        found = {name: tuple(tensor.shape) for name, tensor in VGG(depth).state_dict().items()}
    expected: dict[str, tuple[int, ...]] = {}
    for number, (outputs, inputs) in convolutions(depth).items():
        expected |= {f"features.{number}.weight": (outputs, inputs, 3, 3), f"features.{number}.bias": (outputs,)}
    for number, inputs in ((0, 25_088), (3, 4096)):
        expected |= {f"classifier.{number}.weight": (4096, inputs), f"classifier.{number}.bias": (4096,)}
    assert found == expected


@pytest.mark.parametrize(("depth", "size"), [(11, (64, 96)), (11, (32, 32)), (16, (40, 32))])
def test_features_equal_the_reference(depth: Literal[11, 16], size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network, images = Narrow(depth).eval(), torch.rand(2, 3, *size)
    with torch.no_grad():
        features = network(images)
        torch.testing.assert_close(features, reference_features(network.state_dict(), images, depth))
    assert features.std() > 0


def test_the_last_maps_of_224_pixels_have_the_size_of_the_hidden_layers_input() -> None:
    with torch.device("meta"):
        assert VGG(11).features(torch.empty(1, 3, 224, 224)).shape == (1, 512, 7, 7)


def test_images_below_the_minimum_side_fail() -> None:
    with torch.device("meta"), pytest.raises(RuntimeError, match="too small"):
        VGG(11)(torch.empty(1, 3, VGG.min_side - 1, 224))


def test_dropout_comes_after_both_hidden_layers() -> None:
    kinds = [type(layer).__name__ for layer in Narrow(11).classifier]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout"]


def test_initial_weights_pass_a_signal_through_all_layers() -> None:
    """With the initialization of `nn.Conv2d`, the maps of two noise images differ by 1e-6."""
    torch.manual_seed(0)
    with torch.no_grad():
        maps = Narrow(16).features(torch.randn(2, 3, 64, 64))
    assert maps.std(dim=0).mean() > 5e-3
