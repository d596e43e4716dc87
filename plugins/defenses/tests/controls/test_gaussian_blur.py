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


def blurred(images: Tensor, sigma: float = 0.7) -> Tensor:
    return GaussianBlur(sigma=sigma).purify(images, nn.Module(), NOISE)


def random_images(seed: int) -> Tensor:
    return torch.rand(1, 3, 12, 17, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.floats(0.2, 3.5))
def test_it_is_the_filter_of_scipy(seed: int, sigma: float) -> None:
    images = random_images(seed)
    kernel = {"sigma": sigma, "radius": math.ceil(3 * sigma), "mode": "mirror", "axes": (2, 3)}
    expected = ndimage.gaussian_filter(images.double().numpy(), **kernel)
    assert torch.allclose(blurred(images, sigma), torch.from_numpy(expected).float(), atol=1e-6)


def test_a_dot_becomes_a_round_spot_of_the_variance_asked_for() -> None:
    images = torch.zeros(1, 3, 41, 41)
    images[:, :, 20, 20] = 1
    spot = blurred(images, 2.0)[0, 0]
    place = torch.arange(41.0) - 20
    assert torch.isclose(spot.sum(), torch.tensor(1.0))
    assert math.isclose((spot.sum(0) * place.square()).sum(), 4.0, rel_tol=0.03)  # the kernel ends at 3 sigma
    assert torch.allclose(spot, spot.T)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.floats(0.1, 3.5), st.floats(0, 1))
def test_flips_commute_and_flat_images_stay(seed: int, sigma: float, value: float) -> None:
    images = random_images(seed)
    for axis in (2, 3):
        assert torch.allclose(blurred(images.flip(axis), sigma), blurred(images, sigma).flip(axis), atol=1e-6)
    flat = torch.full((1, 3, 12, 12), value)
    assert torch.allclose(blurred(flat, sigma), flat, atol=1e-6)
    assert blurred(flat, sigma).max() <= 1


def test_gradients_reach_every_pixel_of_a_white_image() -> None:
    for sigma in (0.7, 1.1, 2.6):  # the weights of the last two sum to just above one
        white = torch.ones(1, 3, 24, 24, requires_grad=True)
        (gradient,) = torch.autograd.grad(blurred(white, sigma).sum(), white)
        assert gradient.min() > 0.1
        assert torch.isclose(gradient.sum(), torch.tensor(1728.0))


def test_images_must_be_larger_than_the_kernel_s_radius(tiny_facts: Callable[[int, int], Facts]) -> None:
    reason = GaussianBlur(sigma=2.0).supports(tiny_facts(6, 16))
    expected = "images too small for the kernel: got 6x16, expected sides above its radius of 6 pixels; lower `sigma`"
    assert reason == expected
    assert GaussianBlur(sigma=2.0).supports(tiny_facts(7, 16)) is None
    assert blurred(torch.rand(1, 3, 7, 16), 2.0).shape == (1, 3, 7, 16)


@pytest.mark.parametrize("sigma", [0, 10.1])
def test_a_sigma_outside_its_range_is_refused(sigma: float) -> None:
    with pytest.raises(ValidationError):
        GaussianBlur(sigma=sigma)
