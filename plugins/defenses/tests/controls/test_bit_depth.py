import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from retbench_defenses.controls.bit_depth import BitDepth
from torch import Tensor, nn

from retbench import Noise

NOISE = Noise(0, ("query",))


def purify(images: Tensor, bits: int) -> Tensor:
    return BitDepth(bits=bits).purify(images, nn.Module(), NOISE)


def random_images(seed: int) -> Tensor:
    return torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_one_bit_is_a_threshold_at_one_half() -> None:
    images = torch.tensor([0.0, 0.49, 0.51, 1.0]).expand(1, 3, 1, 4)
    assert torch.equal(purify(images, 1), torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 3, 1, 4))


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 8))
def test_values_are_rounded_to_the_nearest_level_and_then_stay(seed: int, bits: int) -> None:
    images = random_images(seed)
    levels = torch.linspace(0, 1, 2**bits)
    once = purify(images, bits)
    distances = (images[..., None] - levels).abs()
    assert torch.allclose((once - images).abs(), distances.amin(-1), atol=1e-6)
    assert (once[..., None] - levels).abs().amin(-1).max() < 1e-6
    assert torch.equal(purify(once, bits), once)
    assert 0 <= once.min() <= once.max() <= 1


def test_eight_bits_do_not_change_8_bit_values() -> None:
    images = (torch.arange(256).float() / 255).expand(1, 3, 1, 256)
    assert torch.equal(purify(images, 8), images)


def test_the_gradient_is_that_of_the_identity_and_does_not_change_the_values() -> None:
    pixels = random_images(0).requires_grad_()
    output, weights = purify(pixels, 3), random_images(1)
    (gradient,) = torch.autograd.grad((weights * output).sum(), pixels)
    assert torch.equal(gradient, weights)
    assert torch.equal(output.detach(), purify(pixels.detach(), 3))


@pytest.mark.parametrize("bits", [0, 9])
def test_bits_outside_their_range_are_an_error(bits: int) -> None:
    with pytest.raises(ValidationError):
        BitDepth(bits=bits)
