import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from retbench_defenses.controls.resize import Resize
from torch import Tensor, nn

from retbench import Noise

NOISE = Noise(0, ("query",))


def resized(images: Tensor, factor: float) -> Tensor:
    return Resize(factor=factor).purify(images, nn.Module(), NOISE)


def test_halving_and_back_is_the_closed_form() -> None:
    row = torch.tensor([0.0, 0.4, 1.0, 0.6])  # the pairs' means are 0.2 and 0.8, read back at -1/4, 1/4, 3/4 and 5/4
    images = row.expand(1, 3, 4, 4)
    assert torch.allclose(resized(images, 0.5)[0, 0, 0], torch.tensor([0.2, 0.35, 0.65, 0.8]), atol=1e-6)
    assert torch.allclose(resized(images.mT, 0.5), resized(images, 0.5).mT)


def test_doubling_and_back_is_the_closed_form() -> None:
    # Twice the size samples at +-1/4 of a pixel, so that back at the size a pixel is 3/4 itself and 1/8 each neighbor.
    row = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0])
    doubled = resized(row.expand(1, 3, 5, 5), 2)[0, 0, 0]
    assert torch.allclose(doubled, torch.tensor([0.0, 0.125, 0.75, 0.125, 0.0]), atol=1e-6)


def test_the_default_of_224_pixels_passes_through_256() -> None:
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    through = torch.nn.functional.interpolate(images, (256, 256), mode="bilinear")
    back = torch.nn.functional.interpolate(through, (224, 224), mode="bilinear")
    assert torch.allclose(Resize().purify(images, nn.Module(), NOISE), back, atol=1e-6)


def test_a_factor_of_one_changes_nothing(images: Tensor) -> None:
    assert torch.equal(resized(images, 1), images)


def test_the_smallest_size_in_between_is_one_pixel(images: Tensor) -> None:
    mean = images[:, :, 7:9, 7:9].mean((2, 3), keepdim=True)  # without antialiasing, one pixel reads the central four
    assert torch.allclose(resized(images, 1e-3), mean.expand_as(images), atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.floats(0, 1), st.floats(0.1, 4), st.integers(1, 40), st.integers(1, 40))
def test_a_flat_image_stays(value: float, factor: float, height: int, width: int) -> None:
    images = torch.full((1, 3, height, width), value)
    again = resized(images, factor)
    assert torch.allclose(again, images, atol=1e-6)
    assert again.max() <= 1


def test_gradients_reach_every_pixel_of_a_white_image() -> None:
    white = torch.ones(1, 3, 30, 30, requires_grad=True)
    (gradient,) = torch.autograd.grad(resized(white, 256 / 224).sum(), white)
    assert gradient.min() > 0.5
    assert torch.isclose(gradient.sum(), torch.tensor(2700.0))  # the weights of each output pixel sum to one


@pytest.mark.parametrize("factor", [0, -1, 9])
def test_a_factor_outside_its_range_is_refused(factor: float) -> None:
    with pytest.raises(ValidationError):
        Resize(factor=factor)
