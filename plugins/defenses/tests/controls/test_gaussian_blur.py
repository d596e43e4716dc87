import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from retbench_defenses.controls.gaussian_blur import GaussianBlur
from scipy import ndimage
from torch import Tensor, nn

from retbench import Facts, Noise

NOISE = Noise(0, ("query",))


def blur(images: Tensor, sigma: float = 0.7) -> Tensor:
    return GaussianBlur(sigma=sigma).purify(images, nn.Module(), NOISE)


def random_images(seed: int) -> Tensor:
    return torch.rand(1, 3, 12, 17, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.floats(0.2, 3.5))
def test_the_blur_equals_that_of_scipy(seed: int, sigma: float) -> None:
    images = random_images(seed)
    kernel = {"sigma": sigma, "radius": math.ceil(3 * sigma), "mode": "mirror", "axes": (2, 3)}
    expected = ndimage.gaussian_filter(images.double().numpy(), **kernel)
    assert torch.allclose(blur(images, sigma), torch.from_numpy(expected).float(), atol=1e-6)


def test_the_response_to_an_impulse_is_symmetric_and_has_the_variance_of_sigma() -> None:
    images = torch.zeros(1, 3, 41, 41)
    images[:, :, 20, 20] = 1
    response = blur(images, 2.0)[0, 0]
    positions = torch.arange(41.0) - 20
    assert torch.isclose(response.sum(), torch.tensor(1.0))
    assert math.isclose((response.sum(0) * positions.square()).sum(), 4.0, rel_tol=0.03)  # the kernel ends at 3 sigma
    assert torch.allclose(response, response.T)


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.floats(0.1, 3.5), st.floats(0, 1))
def test_blur_commutes_with_flips_and_keeps_flat_images(seed: int, sigma: float, value: float) -> None:
    images = random_images(seed)
    for axis in (2, 3):
        assert torch.allclose(blur(images.flip(axis), sigma), blur(images, sigma).flip(axis), atol=1e-6)
    flat = torch.full((1, 3, 12, 12), value)
    assert torch.allclose(blur(flat, sigma), flat, atol=1e-6)
    assert blur(flat, sigma).max() <= 1


def test_gradients_reach_every_pixel_of_a_white_image() -> None:
    for sigma in (0.7, 1.1, 2.6):  # the weights of the last two sum to just above one
        white = torch.ones(1, 3, 24, 24, requires_grad=True)
        (gradient,) = torch.autograd.grad(blur(white, sigma).sum(), white)
        assert gradient.min() > 0.1
        assert torch.isclose(gradient.sum(), torch.tensor(1728.0))


def test_images_not_larger_than_the_radius_of_the_kernel_are_not_supported(
    sized_facts: Callable[[int, int], Facts],
) -> None:
    reason = GaussianBlur(sigma=2.0).supports(sized_facts(6, 16))
    expected = "images too small for the kernel: got 6x16, expected sides above its radius of 6 pixels; lower `sigma`"
    assert reason == expected
    assert GaussianBlur(sigma=2.0).supports(sized_facts(7, 16)) is None
    assert blur(torch.rand(1, 3, 7, 16), 2.0).shape == (1, 3, 7, 16)


@pytest.mark.parametrize("sigma", [0, 10.1])
def test_a_sigma_outside_its_range_is_an_error(sigma: float) -> None:
    with pytest.raises(ValidationError):
        GaussianBlur(sigma=sigma)
