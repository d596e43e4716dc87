import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from retbench_defenses.controls.median import Median
from scipy import ndimage
from torch import Tensor, nn

from retbench import Noise

NOISE = Noise(0, ("query",))


def purify(images: Tensor, window: int = 3) -> Tensor:
    return Median(window=window).purify(images, nn.Module(), NOISE)


def random_images(seed: int, height: int = 7, width: int = 9) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(2, 3), st.integers(1, 9), st.integers(1, 9))
def test_the_filter_equals_that_of_scipy(seed: int, window: int, height: int, width: int) -> None:
    images = random_images(seed, height, width)
    expected = ndimage.median_filter(images.numpy(), size=(1, 1, window, window), mode="reflect")
    assert torch.equal(purify(images, window), torch.from_numpy(expected))


def test_a_window_of_two_gives_the_upper_median_of_the_pixel_and_those_above_and_to_the_left() -> None:
    images = torch.tensor([[0.1, 0.2], [0.3, 0.4]]).expand(1, 3, 2, 2)
    expected = torch.tensor([[0.1, 0.2], [0.3, 0.3]])  # windows in tenths: 1 1 1 1, 1 1 2 2, 1 1 3 3, 1 2 3 4
    assert torch.equal(purify(images, 2), expected.expand(1, 3, 2, 2))


def test_a_single_outlier_is_removed() -> None:
    images = torch.full((1, 3, 7, 7), 0.5)
    with_outlier = images.clone()
    with_outlier[:, :, 3, 4] = 1
    assert torch.equal(purify(with_outlier), images)


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_a_window_of_three_commutes_with_flips_transposition_and_inversion(seed: int) -> None:
    images = random_images(seed)
    for axis in (2, 3):
        assert torch.equal(purify(images.flip(axis)), purify(images).flip(axis))
    assert torch.equal(purify(images.mT), purify(images).mT)
    assert torch.equal(purify(1 - images), 1 - purify(images))


def test_the_gradient_passes_to_the_selected_value() -> None:
    images = random_images(0).requires_grad_()
    (gradient,) = torch.autograd.grad(purify(images)[0, 1, 3, 4], images)
    selected = images.detach() == purify(images.detach())[0, 1, 3, 4]
    assert torch.equal(gradient, selected.float())


@pytest.mark.parametrize("window", [1, 4])
def test_a_window_outside_its_range_is_an_error(window: int) -> None:
    with pytest.raises(ValidationError):
        Median(window=window)
