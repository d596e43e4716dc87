"""Distances between images, against plain numpy."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from retbench.metrics import l2, linf, mse, perceptibility, psnr, ssim

MEASURES = [linf, l2, mse, psnr, ssim]
Measure = Callable[[Tensor, Tensor], Tensor]


def random_images(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((count, 3, height, width), dtype=np.float32))


def reference_ssim(image: NDArray[np.float64], reference: NDArray[np.float64], window: int) -> float:
    """Return the SSIM computed from its definition, one window at a time."""
    offsets = np.arange(window) - window // 2
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    weights = np.outer(line, line) / line.sum() ** 2
    values = []
    for channel in range(3):
        for top in range(image.shape[1] - window + 1):
            for left in range(image.shape[2] - window + 1):
                x = image[channel, top : top + window, left : left + window]
                y = reference[channel, top : top + window, left : left + window]
                mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
                var_x, var_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
                covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
                luminance = (2 * mean_x * mean_y + 1e-4) / (mean_x**2 + mean_y**2 + 1e-4)
                values.append(luminance * (2 * covariance + 9e-4) / (var_x + var_y + 9e-4))
    return float(np.mean(values))


def test_a_constant_shift_has_known_distances() -> None:
    clean = torch.full((2, 3, 20, 10), 0.25)
    shifted = clean + 8 / 255
    assert linf(shifted, clean).tolist() == pytest.approx([8 / 255] * 2, rel=1e-6)
    assert l2(shifted, clean).tolist() == pytest.approx([8 / 255 * math.sqrt(600)] * 2, rel=1e-6)
    assert mse(shifted, clean).tolist() == pytest.approx([(8 / 255) ** 2] * 2, rel=1e-6)
    assert psnr(shifted, clean).tolist() == pytest.approx([20 * math.log10(255 / 8)] * 2, rel=1e-6)


def test_distances_match_numpy_image_by_image() -> None:
    images, references = random_images(5, 6, 7, 1), random_images(5, 6, 7, 2)
    difference = (images.numpy().astype(np.float64) - references.numpy()).reshape(5, -1)
    assert np.allclose(linf(images, references), np.abs(difference).max(axis=1), rtol=1e-14)
    assert np.allclose(l2(images, references), np.linalg.norm(difference, axis=1), rtol=1e-14)
    assert np.allclose(mse(images, references), (difference**2).mean(axis=1), rtol=1e-14)
    assert np.allclose(psnr(images, references), -10 * np.log10((difference**2).mean(axis=1)), rtol=1e-14)


@pytest.mark.parametrize(("height", "width", "window"), [(14, 16, 11), (11, 11, 11), (10, 30, 9), (8, 8, 7), (3, 5, 3)])
def test_ssim_matches_its_definition_with_the_largest_window_that_fits(height: int, width: int, window: int) -> None:
    images = random_images(2, height, width, 1)
    references = (images * 0.8 + random_images(2, height, width, 2) * 0.2).clamp(0, 1)
    expected = [
        reference_ssim(*pair, window) for pair in zip(images.double().numpy(), references.double().numpy(), strict=True)
    ]
    assert ssim(images, references).tolist() == pytest.approx(expected, rel=1e-6)


def test_identical_images_have_no_distance() -> None:
    images = random_images(2, 12, 12)
    for measure in (linf, l2, mse):
        assert measure(images, images).tolist() == [0.0, 0.0]
    assert psnr(images, images).tolist() == [math.inf] * 2
    assert ssim(images, images).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("measure", MEASURES)
def test_the_value_of_an_image_does_not_depend_on_the_batch(measure: Measure) -> None:
    images, references = random_images(67, 11, 12, 1), random_images(67, 11, 12, 2)
    together = measure(images, references)
    assert together.dtype == torch.float64
    assert together.shape == (67,)
    assert together[66].item() == pytest.approx(measure(images[66:], references[66:]).item(), rel=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_no_images_give_an_empty_tensor(measure: Measure) -> None:
    assert measure(random_images(0, 12, 12), random_images(0, 12, 12)).shape == (0,)


def test_ssim_is_not_rounded_under_autocast() -> None:
    images, references = random_images(2, 16, 16, 1), random_images(2, 16, 16, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = ssim(images, references)
    assert torch.equal(inside, ssim(images, references))


@pytest.mark.parametrize("measure", MEASURES)
def test_images_that_do_not_match_raise(measure: Measure) -> None:
    images = random_images(2, 12, 12)
    for wrong, message in [
        (images.double(), "references: wrong dtype: got torch.float64, expected torch.float32"),
        ((images * 255).to(torch.uint8), "references: wrong dtype: got torch.uint8"),
        (images[:, :1], r"references: wrong shape: got \(2, 1, 12, 12\), expected \(N, 3, H, W\)"),
        (images[:1], r"references: wrong shape: got \(1, 3, 12, 12\), expected the images' \(2, 3, 12, 12\)"),
        (images * 2 - 1, "references: wrong range: got -.* expected 0 to 1"),
        (images * torch.nan, "references: wrong range: got nan"),
    ]:
        with pytest.raises(ValueError, match=f"^{measure.__name__}: {message}"):
            measure(images, wrong)


def test_ssim_of_images_below_three_pixels_raises() -> None:
    with pytest.raises(ValueError, match=r"ssim: images too small: got \(2, 9\) pixels, expected at least \(3, 3\)"):
        ssim(random_images(1, 2, 9), random_images(1, 2, 9))


def test_perceptibility_is_the_root_of_the_mean_and_not_the_mean_of_roots() -> None:
    errors = torch.tensor([0.01, 0.09], dtype=torch.float64)
    assert perceptibility(errors) == pytest.approx(math.sqrt(0.05))
    assert perceptibility(torch.zeros(3)) == 0.0
    assert math.isnan(perceptibility(torch.zeros(0)))


def test_perceptibility_of_invalid_errors_raises() -> None:
    with pytest.raises(ValueError, match=r"perceptibility: not squared errors: got -1.0, expected at least 0"):
        perceptibility(torch.tensor([-1.0]))
    with pytest.raises(ValueError, match="perceptibility: wrong shape"):
        perceptibility(torch.zeros(2, 2))
