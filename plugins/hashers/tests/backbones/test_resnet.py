"""Residual networks against torchvision's published numbers, names and a forward pass written from their table."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from retbench_hashers.backbones.resnet import ResNet
from torch import Tensor, nn
from torch.nn import functional as F

BLOCKS = {18: [2, 2, 2, 2], 50: [3, 4, 6, 3]}
NORMALIZATION = ("weight", "bias", "running_mean", "running_var")
Shapes = dict[str, tuple[int, ...]]


def normalization(name: str, channels: int) -> Shapes:
    return {f"{name}.{tensor}": (channels,) for tensor in NORMALIZATION} | {f"{name}.num_batches_tracked": ()}


def published_shapes(depth: int) -> Shapes:
    """Return names and shapes of torchvision's weights without the classifier."""
    expansion = 1 if depth == 18 else 4
    shapes: Shapes = {"conv1.weight": (64, 3, 7, 7), **normalization("bn1", 64)}
    inputs = 64
    for stage, blocks in enumerate(BLOCKS[depth]):
        channels = 64 * 2**stage
        outputs = channels * expansion
        for block in range(blocks):
            prefix = f"layer{stage + 1}.{block}"
            sides = (3, 3) if depth == 18 else (1, 3, 1)
            widths = [inputs, *[channels] * (len(sides) - 1), outputs]
            for index, side in enumerate(sides):
                shapes[f"{prefix}.conv{index + 1}.weight"] = (widths[index + 1], widths[index], side, side)
                shapes |= normalization(f"{prefix}.bn{index + 1}", widths[index + 1])
            if block == 0 and (stage > 0 or depth == 50):
                shapes[f"{prefix}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                shapes |= normalization(f"{prefix}.downsample.1", outputs)
            inputs = outputs
    return shapes


def reference_features(weights: dict[str, Tensor], images: Tensor, depth: int) -> Tensor:
    def convolution(maps: Tensor, prefix: str, norm: str, stride: int = 1, padding: int = 0) -> Tensor:
        maps = F.conv2d(maps, weights[f"{prefix}.weight"], stride=stride, padding=padding)
        scale, shift, mean, variance = (weights[f"{norm}.{name}"][:, None, None] for name in NORMALIZATION)
        return (maps - mean) / (variance + 1e-5).sqrt() * scale + shift

    def block(maps: Tensor, prefix: str, stride: int) -> Tensor:
        shortcut = maps
        if f"{prefix}.downsample.0.weight" in weights:
            shortcut = convolution(maps, f"{prefix}.downsample.0", f"{prefix}.downsample.1", stride)
        if depth == 18:
            maps = convolution(maps, f"{prefix}.conv1", f"{prefix}.bn1", stride, 1).relu()
            return (convolution(maps, f"{prefix}.conv2", f"{prefix}.bn2", 1, 1) + shortcut).relu()
        maps = convolution(maps, f"{prefix}.conv1", f"{prefix}.bn1").relu()
        maps = convolution(maps, f"{prefix}.conv2", f"{prefix}.bn2", stride, 1).relu()
        return (convolution(maps, f"{prefix}.conv3", f"{prefix}.bn3") + shortcut).relu()

    maps = F.max_pool2d(convolution(images, "conv1", "bn1", 2, 3).relu(), 3, 2, 1)
    for stage, blocks in enumerate(BLOCKS[depth]):
        for index in range(blocks):
            maps = block(maps, f"layer{stage + 1}.{index}", 2 if stage and not index else 1)
    return maps.mean((2, 3))


@pytest.mark.parametrize(("depth", "size"), [(18, 11_689_512), (50, 25_557_032)])
def test_the_number_of_weights_is_the_published_one_without_the_classifier(depth: Literal[18, 50], size: int) -> None:
    with torch.device("meta"):
        features = ResNet(depth)
        network = nn.ModuleList([features, nn.Linear(features.width, 1000)])
    assert sum(weight.numel() for weight in network.parameters()) == size


@pytest.mark.parametrize("depth", [18, 50])
def test_names_and_shapes_of_weights_are_the_published_ones(depth: Literal[18, 50]) -> None:
    with torch.device("meta"):
        found = {name: tuple(tensor.shape) for name, tensor in ResNet(depth).state_dict().items()}
    assert found == published_shapes(depth)


@pytest.mark.parametrize(("depth", "size"), [(18, (32, 32)), (18, (64, 40)), (50, (32, 64))])
def test_features_equal_the_reference(depth: Literal[18, 50], size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    # In double precision: fifty layers in float32 differ by more than any useful tolerance on some processors.
    network, images = ResNet(depth).double(), torch.rand(3, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_mean"):
                tensor.uniform_(-0.1, 0.1)
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
        features = network.eval()(images)
        torch.testing.assert_close(
            features, reference_features(network.state_dict(), images, depth), rtol=1e-4, atol=1e-5
        )
    assert features.shape == (3, network.width)
    assert features.std() > 0
