"""AlexNet against torchvision's published numbers, names and a forward pass written from its table."""

from __future__ import annotations

import pytest
import torch
from retbench_hashers.backbones.alexnet import AlexNet
from torch import Tensor, nn
from torch.nn import functional as F

CONVOLUTIONS = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


class Narrow(AlexNet):
    """The network with hidden layers of 8, small enough to run."""

    width = 8


def reference_features(weights: dict[str, Tensor], images: Tensor) -> Tensor:
    def convolution(maps: Tensor, index: int, stride: int, padding: int) -> Tensor:
        kernel, bias = weights[f"features.{index}.weight"], weights[f"features.{index}.bias"]
        return F.conv2d(maps, kernel, bias, stride, padding).relu()

    maps = F.max_pool2d(convolution(images, 0, 4, 2), 3, 2)
    maps = F.max_pool2d(convolution(maps, 3, 1, 2), 3, 2)
    maps = convolution(convolution(convolution(maps, 6, 1, 1), 8, 1, 1), 10, 1, 1)
    hidden = F.adaptive_avg_pool2d(F.max_pool2d(maps, 3, 2), (6, 6)).reshape(len(images), -1)
    for index in (1, 4):
        hidden = F.linear(hidden, weights[f"classifier.{index}.weight"], weights[f"classifier.{index}.bias"]).relu()
    return hidden


def test_the_number_of_weights_is_the_published_one_without_the_classifier() -> None:
    with torch.device("meta"):
        network = nn.ModuleList([AlexNet(), nn.Linear(4096, 1000)])
    assert sum(weight.numel() for weight in network.parameters()) == 61_100_840


def test_names_and_shapes_of_weights_are_the_published_ones() -> None:
    with torch.device("meta"):
        found = {name: tuple(tensor.shape) for name, tensor in AlexNet().state_dict().items()}
    expected: dict[str, tuple[int, ...]] = {}
    for index, (outputs, inputs, side) in CONVOLUTIONS.items():
        expected |= {f"features.{index}.weight": (outputs, inputs, side, side), f"features.{index}.bias": (outputs,)}
    for index, inputs in ((1, 9216), (4, 4096)):
        expected |= {f"classifier.{index}.weight": (4096, inputs), f"classifier.{index}.bias": (4096,)}
    assert found == expected


@pytest.mark.parametrize("size", [(224, 224), (63, 63), (96, 130)])
def test_features_equal_the_reference(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network, images = Narrow().eval(), torch.rand(2, 3, *size)
    with torch.no_grad():
        features = network(images)
        torch.testing.assert_close(features, reference_features(network.state_dict(), images))
    assert features.std() > 0


def test_pictures_of_224_pixels_leave_the_grid_that_the_hidden_layers_take() -> None:
    with torch.device("meta"):
        assert AlexNet().features(torch.empty(1, 3, 224, 224)).shape == (1, 256, 6, 6)


def test_images_below_the_minimum_side_fail() -> None:
    with torch.device("meta"), pytest.raises(RuntimeError, match="too small"):
        AlexNet()(torch.empty(1, 3, AlexNet.min_side - 1, 224))


def test_dropout_comes_before_both_hidden_layers() -> None:
    kinds = [type(layer).__name__ for layer in Narrow().classifier]
    assert kinds == ["Dropout", "Linear", "ReLU", "Dropout", "Linear", "ReLU"]
