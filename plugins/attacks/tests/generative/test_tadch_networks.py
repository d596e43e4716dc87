"""Sizes, shapes and norms of TA-DCH's generator and discriminator."""

from __future__ import annotations

import pytest
import torch
from retbench_attacks.generative.prosgan_networks import Discriminator
from retbench_attacks.generative.tadch_networks import SIDES, Generator, Translator, interleaved
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


def weights(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


def test_the_published_generator_has_as_many_weights() -> None:
    with torch.device("meta"):
        generator = Generator(64, 224)
    assert weights(generator.translator) == 48_816
    assert weights(generator) == 8_827_218


@pytest.mark.parametrize(
    ("classes", "millions"),
    [(10, 11.70), (255, 23.99), (24, 12.40), (80, 15.21), (21, 12.25)],
    ids=["WIKI", "IAPR", "FLICKR", "COCO", "NUS"],
)
def test_the_discriminator_is_that_of_prosgan(classes: int, millions: float) -> None:
    with torch.device("meta"):
        critic = Discriminator(classes, (224, 224))
        trunk = critic.layers[:-2](torch.empty(1, 3, 224, 224))
    assert trunk.shape == (1, 1024, 7, 7)
    assert weights(critic) / 1e6 == pytest.approx(millions, abs=0.005)


def test_the_published_translator_has_the_published_shapes() -> None:
    features, shapes = torch.randn(1, 64, 16, 16), []
    for layer in Translator(64, 224).layers:
        features = layer(features)
        shapes.append(tuple(features.shape[1:]))
    assert shapes == [(48, 14, 14), (12, 56, 56), (1, 224, 224)]
    assert features.min().item() == 0


def test_images_keep_their_size() -> None:
    assert sorted(SIDES) == [16, 28, 32, 56, 64, 112, 128, 224, 256]
    semantics = torch.randn(1, 16, 16, 16)
    for side in SIDES:
        assert Translator(16, side)(semantics).shape == (1, 1, side, side)
        redrawn = Generator(16, side, width=2, blocks=1)(torch.rand(1, 3, side, side), semantics)
        assert redrawn.shape == (1, 3, side, side)
        assert 0 < redrawn.abs().max().item() < 1


def test_the_translated_map_lies_between_the_channels() -> None:
    red, green, blue, drawn = (torch.full((2, 1, 4, 4), float(value)) for value in range(4))
    mixed = interleaved(torch.cat([red, green, blue], dim=1), drawn)
    assert torch.equal(mixed, torch.cat([red, drawn, green, drawn, blue, drawn], dim=1))


def plain(features: Tensor) -> Tensor:
    mean, spread = features.mean((2, 3), keepdim=True), features.var((2, 3), keepdim=True, unbiased=False)
    return ((features - mean) / torch.sqrt(spread + 1e-5)).clamp(min=0)


def test_it_computes_the_published_generator() -> None:
    torch.manual_seed(0)
    generator = Generator(16, 32, width=4, blocks=1).double()
    own, images, semantics = (
        generator.state_dict(),
        torch.rand(2, 3, 32, 32).double(),
        torch.randn(2, 16, 16, 16).double(),
    )
    drawn = semantics
    for layer, (stride, padding) in enumerate([(1, 1), (2, 1), (1, 1)]):
        drawn = plain(F.conv_transpose2d(drawn, own[f"translator.layers.{layer}.0.weight"], None, stride, padding))
    mixed = torch.cat([drawn if odd else images[:, at : at + 1] for at in range(3) for odd in (False, True)], dim=1)
    full = plain(F.conv2d(mixed, own["entry.0.weight"], own["entry.0.bias"], 1, 3))
    half = plain(F.conv2d(full, own["halving.0.weight"], own["halving.0.bias"], 2, 1))
    deep = plain(F.conv2d(half, own["core.0.0.weight"], own["core.0.0.bias"], 2, 1))
    change = F.conv2d(
        plain(F.conv2d(deep, own["core.1.change.0.0.weight"], None, 1, 1)), own["core.1.change.1.weight"], None, 1, 1
    )
    mean, spread = change.mean((2, 3), keepdim=True), change.var((2, 3), keepdim=True, unbiased=False)
    deep = deep + (change - mean) / torch.sqrt(spread + 1e-5)
    up = plain(F.conv_transpose2d(deep, own["core.2.0.weight"], None, 2, 1))
    up = plain(F.conv2d(torch.cat([half, up], dim=1), own["doubling.0.0.weight"], None, 1, 1))
    up = plain(F.conv_transpose2d(up, own["doubling.1.0.weight"], None, 2, 1))
    up = plain(F.conv2d(torch.cat([full, up], dim=1), own["exit.0.0.weight"], None, 1, 1))
    up = plain(F.conv2d(up, own["exit.1.0.weight"], None, 1, 1))
    expected = torch.tanh(F.conv2d(torch.cat([images, up], dim=1), own["last.weight"], None, 1, 1))
    assert torch.allclose(generator(images, semantics), expected, atol=1e-10)


def one_iteration(matrix: Tensor, start: Tensor) -> float:
    """The published estimate of a spectral norm: u'Wv after v = W'u and u = Wv, each made a unit vector."""
    other = matrix.T @ start
    return (matrix @ (other / other.norm())).norm().item()


def test_a_pass_takes_one_power_iteration_as_published() -> None:
    matrix = torch.sin(0.7 * torch.arange(4)[:, None] + 1.1 * torch.arange(6) + 0.2)
    start = torch.tensor([1.0, 2.0, -1.0, 0.5])
    assert one_iteration(matrix, start) == pytest.approx(2.407485, abs=1e-5)
    assert torch.linalg.matrix_norm(matrix, ord=2).item() == pytest.approx(2.627823, abs=1e-5)
    layer = spectral_norm(nn.Linear(4, 6, bias=False))  # the transpose, because torch's iteration starts from v
    norm = layer.parametrizations["weight"][0]
    with torch.no_grad():
        layer.parametrizations["weight"].original.copy_(matrix.T)
        norm._v.copy_(start / start.norm())
        seen = (matrix.T / layer.weight).mean().item()
    assert seen == pytest.approx(2.407485, abs=1e-5)


def test_the_discriminator_takes_it_too() -> None:
    layer = Discriminator(3, (16, 16), width=8, depth=2).layers[0]
    original, norm = layer.parametrizations["weight"].original.detach(), layer.parametrizations["weight"][0]
    expected = one_iteration(original.flatten(1).T, norm._v.clone())
    with torch.no_grad():
        assert (original / layer.weight).mean().item() == pytest.approx(expected, rel=1e-5)
