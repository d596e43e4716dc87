"""The discriminator: published sizes, spectral norm and loss."""

from __future__ import annotations

import pytest
import torch
from retbench_attacks.generative.discriminator import FAKE, REAL, Discriminator, discriminator_error
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

LABELS = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0]]).float()
SCORES = torch.sin(0.3 * torch.arange(3)[:, None] + 0.5 * torch.arange(4) + 0.7)


def count_weights(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(("classes", "count"), [(21, 12_250_048), (38, 13_103_040), (80, 15_210_432)])
def test_number_of_weights_is_the_published_one(classes: int, count: int) -> None:
    with torch.device("meta"):
        assert count_weights(Discriminator(classes, (224, 224))) == count


@pytest.mark.parametrize(
    ("classes", "millions"),
    [(10, 11.70), (255, 23.99), (24, 12.40), (80, 15.21), (21, 12.25)],
    ids=["WIKI", "IAPR", "FLICKR", "COCO", "NUS"],
)
def test_number_of_weights_is_that_published_for_tadch(classes: int, millions: float) -> None:
    with torch.device("meta"):
        discriminator = Discriminator(classes, (224, 224))
        trunk = discriminator.layers[:-2](torch.empty(1, 3, 224, 224))
    assert trunk.shape == (1, 1024, 7, 7)
    assert count_weights(discriminator) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize("size", [(32, 32), (16, 48)])
def test_image_size_is_free(size: tuple[int, int]) -> None:
    assert Discriminator(7, size, width=4, depth=4)(torch.rand(2, 3, *size)).shape == (2, 8)


def test_convolutions_have_spectral_norm_one() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(3, (16, 16), width=8, depth=2)
    for _ in range(200):  # power iteration takes long where the two largest singular values are close
        discriminator(torch.rand(1, 3, 16, 16))
    norms = [spectral_norm_of(layer.weight) for layer in discriminator.layers if hasattr(layer, "parametrizations")]
    assert norms == pytest.approx([1, 1], rel=1e-3)


def spectral_norm_of(weight: Tensor) -> float:
    return torch.linalg.matrix_norm(weight.detach().flatten(1), ord=2).item()


def estimate_spectral_norm(matrix: Tensor, start: Tensor) -> float:
    """Return the published estimate of a spectral norm: u'Wv after v = W'u and u = Wv, both normalized."""
    right = matrix.T @ start
    return (matrix @ (right / right.norm())).norm().item()


def test_torch_takes_one_power_iteration_per_pass_as_published() -> None:
    matrix = torch.sin(0.7 * torch.arange(4)[:, None] + 1.1 * torch.arange(6) + 0.2)
    start = torch.tensor([1.0, 2.0, -1.0, 0.5])
    assert estimate_spectral_norm(matrix, start) == pytest.approx(2.407485, abs=1e-5)
    assert torch.linalg.matrix_norm(matrix, ord=2).item() == pytest.approx(2.627823, abs=1e-5)
    layer = spectral_norm(nn.Linear(4, 6, bias=False))  # transposed, because torch's iteration starts from v
    norm = layer.parametrizations["weight"][0]
    with torch.no_grad():
        layer.parametrizations["weight"].original.copy_(matrix.T)
        norm._v.copy_(start / start.norm())
        estimate = (matrix.T / layer.weight).mean().item()
    assert estimate == pytest.approx(2.407485, abs=1e-5)


def test_discriminator_takes_one_power_iteration_per_pass() -> None:
    layer = Discriminator(3, (16, 16), width=8, depth=2).layers[0]
    original, norm = layer.parametrizations["weight"].original.detach(), layer.parametrizations["weight"][0]
    expected = estimate_spectral_norm(original.flatten(1).T, norm._v.clone())
    with torch.no_grad():
        assert (original / layer.weight).mean().item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("flag", "loss"), [(REAL, 0.432977), (FAKE, 0.392650)])
def test_loss_has_the_published_value(flag: float, loss: float) -> None:
    assert discriminator_error(SCORES, LABELS, flag).item() == pytest.approx(loss, abs=1e-6)


def test_flag_of_a_generated_image_is_one() -> None:
    scores = torch.tensor([[1.0, 0.0, 1.0]])
    assert discriminator_error(scores, scores[:, :2], FAKE).item() == 0
    assert discriminator_error(scores, scores[:, :2], REAL).item() == pytest.approx(1 / 3)
