"""Sizes, shapes and norms of ProS-GAN's networks."""

from __future__ import annotations

import pytest
import torch
from retbench_attacks.generative.prosgan_networks import Decoder, Discriminator, Generator
from torch import Tensor, nn


def weights(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


def test_the_published_generator_has_as_many_weights() -> None:
    with torch.device("meta"):
        generator = Generator(512, (224, 224))
    assert weights(generator.decoder) == 13_044_440
    assert weights(generator) - weights(generator.decoder) == 8_409_681
    assert weights(generator) == 21_454_121


@pytest.mark.parametrize(("classes", "count"), [(21, 12_250_048), (38, 13_103_040), (80, 15_210_432)])
def test_the_published_discriminators_have_as_many_weights(classes: int, count: int) -> None:
    with torch.device("meta"):
        assert weights(Discriminator(classes, (224, 224))) == count


@pytest.mark.parametrize("size", [(32, 32), (16, 48)])
def test_images_keep_their_size(size: tuple[int, int]) -> None:
    images, semantics = torch.rand(2, 3, *size) * 2 - 1, torch.randn(2, 5)
    assert Decoder(5, size, width=16)(semantics).shape == images.shape
    redrawn = Generator(5, size, width=4, blocks=1, decoder_width=16)(images, semantics)
    assert redrawn.shape == images.shape
    assert redrawn.abs().max().item() < 1
    assert Discriminator(7, size, width=4, depth=4)(images).shape == (2, 8)


def test_an_image_is_redrawn_alike_in_any_batch() -> None:
    generator = Generator(5, (16, 16), width=4, blocks=1, decoder_width=16)
    images, semantics = torch.rand(3, 3, 16, 16), torch.randn(3, 5)
    alone = [generator(images[row : row + 1], semantics[row : row + 1]) for row in range(3)]
    assert torch.allclose(generator(images, semantics), torch.cat(alone), atol=1e-5)


def test_the_discriminators_convolutions_have_spectral_norm_one() -> None:
    critic = Discriminator(3, (16, 16), width=8, depth=2)
    for _ in range(50):
        critic(torch.rand(1, 3, 16, 16))
    norms = [largest(layer.weight) for layer in critic.layers if hasattr(layer, "parametrizations")]
    assert norms == pytest.approx([1, 1], rel=1e-3)


def largest(weight: Tensor) -> float:
    return torch.linalg.matrix_norm(weight.detach().flatten(1), ord=2).item()
