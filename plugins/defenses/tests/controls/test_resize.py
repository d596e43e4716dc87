import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from retbench_defenses.controls.resize import Resize
from torch import Tensor, nn

from retbench import Noise

NOISE = Noise(0, ("query",))


def resize(images: Tensor, factor: float) -> Tensor:
    return Resize(factor=factor).purify(images, nn.Module(), NOISE)


def test_scaling_by_one_half_equals_the_closed_form() -> None:
    row = torch.tensor(
        [0.0, 0.4, 1.0, 0.6]
    )  # the means of the pairs are 0.2 and 0.8, sampled at -1/4, 1/4, 3/4 and 5/4
    images = row.expand(1, 3, 4, 4)
    assert torch.allclose(resize(images, 0.5)[0, 0, 0], torch.tensor([0.2, 0.35, 0.65, 0.8]), atol=1e-6)
    assert torch.allclose(resize(images.mT, 0.5), resize(images, 0.5).mT)


def test_scaling_by_two_equals_the_closed_form() -> None:
    # Upscaling samples at +-1/4 of a pixel; after downscaling, a pixel is 3/4 itself and 1/8 of each neighbor.
    row = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0])
    doubled = resize(row.expand(1, 3, 5, 5), 2)[0, 0, 0]
    assert torch.allclose(doubled, torch.tensor([0.0, 0.125, 0.75, 0.125, 0.0]), atol=1e-6)


def test_the_default_scales_224_pixels_to_256_and_back() -> None:
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    scaled = torch.nn.functional.interpolate(images, (256, 256), mode="bilinear")
    expected = torch.nn.functional.interpolate(scaled, (224, 224), mode="bilinear")
    assert torch.allclose(Resize().purify(images, nn.Module(), NOISE), expected, atol=1e-6)


def test_a_factor_of_one_changes_nothing(images: Tensor) -> None:
    assert torch.equal(resize(images, 1), images)


def test_the_smallest_intermediate_size_is_one_pixel(images: Tensor) -> None:
    mean = images[:, :, 7:9, 7:9].mean((2, 3), keepdim=True)  # without antialiasing, one pixel samples the central four
    assert torch.allclose(resize(images, 1e-3), mean.expand_as(images), atol=1e-6)


@settings(max_examples=25)
@given(st.floats(0, 1), st.floats(0.1, 4), st.integers(1, 40), st.integers(1, 40))
def test_a_flat_image_is_kept(value: float, factor: float, height: int, width: int) -> None:
    images = torch.full((1, 3, height, width), value)
    output = resize(images, factor)
    assert torch.allclose(output, images, atol=1e-6)
    assert output.max() <= 1


def test_gradients_reach_every_pixel_of_a_white_image() -> None:
    white = torch.ones(1, 3, 30, 30, requires_grad=True)
    (gradient,) = torch.autograd.grad(resize(white, 256 / 224).sum(), white)
    assert gradient.min() > 0.5
    assert torch.isclose(gradient.sum(), torch.tensor(2700.0))  # the weights of each output pixel sum to one


@pytest.mark.parametrize("factor", [0, -1, 9])
def test_a_factor_outside_its_range_is_an_error(factor: float) -> None:
    with pytest.raises(ValidationError):
        Resize(factor=factor)
