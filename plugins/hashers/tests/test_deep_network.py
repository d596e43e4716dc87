"""Backbone, normalisation and hash layer as one network."""

from __future__ import annotations

import pytest
import torch
from retbench_hashers.conv import ConvFeatures
from retbench_hashers.deep_network import DeepNetwork
from retbench_hashers.features import Features
from retbench_hashers.resnet import ResNet
from retbench_hashers.vgg import VGG
from torch import Tensor


class Means(Features):
    """The mean of each channel."""

    width = 3
    smallest_side = 1

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))


def test_a_vgg_hasher_of_32_bits_has_the_published_number_of_weights() -> None:
    with torch.device("meta"):
        network = DeepNetwork(VGG(11), 32)
    assert sum(weight.numel() for weight in network.parameters()) == 128_897_440


@pytest.mark.parametrize("bits", [12, 48, 128])
def test_it_gives_a_logit_for_each_bit(bits: int) -> None:
    assert DeepNetwork(ConvFeatures(), bits).eval().image(torch.rand(2, 3, 8, 8)).shape == (2, bits)


def test_normalising_takes_imagenets_mean_and_deviation_off_each_channel() -> None:
    network = DeepNetwork(Means(), 8, normalise=True)
    images = torch.rand(4, 3, 5, 5)
    moved = torch.stack(
        [(images[:, 0] - 0.485) / 0.229, (images[:, 1] - 0.456) / 0.224, (images[:, 2] - 0.406) / 0.225], dim=1
    )
    torch.testing.assert_close(network.image(images), network.hash(moved.mean(dim=(2, 3))))


def test_without_it_the_backbone_sees_the_pixels_as_they_are() -> None:
    network, images = DeepNetwork(Means(), 8), torch.rand(4, 3, 5, 5)
    assert torch.equal(network.image(images), network.hash(images.mean(dim=(2, 3))))


def test_normalisation_is_not_trained_and_survives_the_meta_device() -> None:
    network = DeepNetwork(Means(), 8, normalise=True)
    assert {name for name, _ in network.named_parameters()} == {"hash.weight", "hash.bias"}
    with torch.device("meta"):
        twin = DeepNetwork(Means(), 8, normalise=True)
    twin.to_empty(device="cpu").load_state_dict(network.state_dict())
    images = torch.rand(2, 3, 4, 4)
    assert torch.equal(network.image(images), twin.image(images))


def test_the_hash_layer_over_a_residual_network_starts_near_zero() -> None:
    torch.manual_seed(0)
    layer = DeepNetwork(ResNet(18), 128).hash
    assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not layer.bias.any()


def test_the_hash_layer_over_other_backbones_starts_within_the_bounds_of_a_linear_layer() -> None:
    torch.manual_seed(0)
    layer = DeepNetwork(ConvFeatures(), 128).hash
    assert 0.99 / 16 < layer.weight.abs().max().item() <= 1 / 16
    assert layer.bias.any()
