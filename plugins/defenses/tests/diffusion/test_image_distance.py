import numpy as np
import pytest
import torch
from pytorch_msssim import ssim
from retbench_defenses.diffusion.image_distance import ImageDistance, Metric
from torch import Tensor


def random_pair(count: int = 4, side: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2 * count, 3, side, side, generator=generator) * 2 - 1
    return images[:count], images[count:]


def test_the_gradient_of_mse_equals_its_closed_form() -> None:
    x, reference = random_pair()
    expected = 2 * (x - reference) / x[0].numel()
    assert torch.allclose(ImageDistance("mse").gradient(x, reference), expected, atol=1e-9)


def test_the_gradient_is_that_of_the_batch_mean_times_the_batch_size() -> None:
    x, reference = random_pair()
    variable = x.clone().requires_grad_()
    (batch_mean,) = torch.autograd.grad((variable - reference).square().mean(), variable)
    assert torch.allclose(ImageDistance("mse").gradient(x, reference), batch_mean * len(x), atol=1e-9)


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_the_gradient_of_an_image_does_not_depend_on_its_batch(metric: Metric) -> None:
    x, reference = random_pair()
    alone = torch.cat(
        [ImageDistance(metric).gradient(x[row : row + 1], reference[row : row + 1]) for row in range(len(x))]
    )
    assert torch.allclose(ImageDistance(metric).gradient(x, reference), alone, atol=1e-7)


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_the_gradient_is_zero_at_the_reference(metric: Metric) -> None:
    x, _ = random_pair()
    assert ImageDistance(metric).gradient(x, x).abs().max() < 1e-8
    assert ssim(x, x, data_range=2.0, size_average=False).allclose(torch.ones(len(x)))


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_a_small_step_against_the_gradient_reduces_the_distance(metric: Metric) -> None:
    x, reference = random_pair()
    closer = x - 0.1 * ImageDistance(metric).gradient(x, reference)
    if metric == "mse":
        assert ((closer - reference).square().mean() < (x - reference).square().mean()).item()
    else:
        before, after = (ssim(y, reference, data_range=2.0, size_average=False) for y in (x, closer))
        assert (after > before).all()


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_autocast_does_not_change_the_gradient(metric: Metric) -> None:
    x, reference = random_pair()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = ImageDistance(metric).gradient(x, reference)
    assert torch.equal(under_autocast, ImageDistance(metric).gradient(x, reference))


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_an_empty_batch_gives_an_empty_gradient(metric: Metric) -> None:
    assert ImageDistance(metric).gradient(torch.zeros(0, 3, 16, 16), torch.zeros(0, 3, 16, 16)).shape == (0, 3, 16, 16)


def zero_padded_ssim(x: Tensor, y: Tensor, data_range: float) -> Tensor:
    """SSIM of Wang et al. 2004 by sliding windows, Gaussian with side 11 and deviation 1.5, with zero padding."""
    ramp = np.arange(11) - 5
    window = np.exp(-(ramp**2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2

    def mean(values: np.ndarray) -> np.ndarray:
        padded = np.pad(values, ((0, 0), (5, 5), (5, 5)))
        return np.einsum("chwij,ij->chw", np.lib.stride_tricks.sliding_window_view(padded, (11, 11), (1, 2)), window)

    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarities = []
    for a, b in zip(x.double().numpy(), y.double().numpy(), strict=True):
        mean_a, mean_b = mean(a), mean(b)
        var_a, var_b, cov = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2, mean(a * b) - mean_a * mean_b
        similarity = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
        similarities.append((similarity / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())
    return torch.tensor(similarities)


@pytest.mark.parametrize("data_range", [1, 2])
def test_zero_padded_ssim_equals_an_independent_implementation(data_range: float) -> None:
    x, noise = random_pair(side=20)
    y = (x + 0.2 * noise).clamp(-1, 1)
    padded = -ImageDistance("ssim", data_range, "zero").measure(x, y)
    assert torch.allclose(padded.double(), zero_padded_ssim(x, y, data_range), atol=1e-5)
    assert not torch.allclose(padded, -ImageDistance("ssim", data_range).measure(x, y), atol=1e-3)


def test_zero_padding_supports_images_smaller_than_the_window() -> None:
    assert ImageDistance("ssim", padding="zero").min_side == 1
    x, y = random_pair(side=4)
    assert ImageDistance("ssim", padding="zero").gradient(x, y).isfinite().all()


@pytest.mark.parametrize(
    "distance", [ImageDistance("mse"), ImageDistance("ssim"), ImageDistance("ssim", 1, "zero")], ids=str
)
def test_the_gradient_can_be_differentiated_with_respect_to_both_arguments(distance: ImageDistance) -> None:
    x, y = (each[:1, :, :12, :12].double() for each in random_pair())
    both = (x.requires_grad_(), y.requires_grad_())
    assert torch.autograd.gradgradcheck(lambda a, b: distance.measure(a, b), both, fast_mode=True)
    weights = torch.rand(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    by_x, by_y = torch.autograd.grad((distance.gradient(x, y) * weights).sum(), (x, y))
    for argument, derivative in ((0, by_x), (1, by_y)):
        step = 1e-4 * derivative / derivative.norm()
        values = []
        for sign in (1, -1):
            point = [x.detach(), y.detach()]
            point[argument] = point[argument] + sign * step
            with torch.no_grad():
                values.append((distance.gradient(*point) * weights).sum())
        assert ((values[0] - values[1]) / 2e-4).item() == pytest.approx(derivative.norm().item(), rel=1e-3)


def test_without_autograd_the_gradient_has_no_graph() -> None:
    x, y = random_pair()
    with torch.no_grad():
        assert not ImageDistance().gradient(x.requires_grad_(), y).requires_grad
