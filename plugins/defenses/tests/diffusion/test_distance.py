import numpy as np
import pytest
import torch
from pytorch_msssim import ssim
from retbench_defenses.diffusion.distance import Distance, Metric
from torch import Tensor


def pair(count: int = 4, side: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    both = torch.rand(2 * count, 3, side, side, generator=generator) * 2 - 1
    return both[:count], both[count:]


def test_the_gradient_of_the_squared_error_is_its_closed_form() -> None:
    x, reference = pair()
    expected = 2 * (x - reference) / x[0].numel()
    assert torch.allclose(Distance("mse").gradient(x, reference), expected, atol=1e-9)


def test_the_gradient_is_the_batch_mean_gradient_times_the_batch() -> None:
    x, reference = pair()
    point = x.clone().requires_grad_()
    (batch_mean,) = torch.autograd.grad((point - reference).square().mean(), point)
    assert torch.allclose(Distance("mse").gradient(x, reference), batch_mean * len(x), atol=1e-9)


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_no_image_sees_the_others_of_its_batch(metric: Metric) -> None:
    x, reference = pair()
    alone = torch.cat([Distance(metric).gradient(x[row : row + 1], reference[row : row + 1]) for row in range(len(x))])
    assert torch.allclose(Distance(metric).gradient(x, reference), alone, atol=1e-7)


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_an_image_is_not_pulled_away_from_itself(metric: Metric) -> None:
    x, _ = pair()
    assert Distance(metric).gradient(x, x).abs().max() < 1e-8
    assert ssim(x, x, data_range=2.0, size_average=False).allclose(torch.ones(len(x)))


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_a_small_step_against_the_gradient_comes_closer(metric: Metric) -> None:
    x, reference = pair()
    closer = x - 0.1 * Distance(metric).gradient(x, reference)
    if metric == "mse":
        assert ((closer - reference).square().mean() < (x - reference).square().mean()).item()
    else:
        before, after = (ssim(y, reference, data_range=2.0, size_average=False) for y in (x, closer))
        assert (after > before).all()


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_autocast_does_not_touch_the_gradient(metric: Metric) -> None:
    x, reference = pair()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        inside = Distance(metric).gradient(x, reference)
    assert torch.equal(inside, Distance(metric).gradient(x, reference))


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_no_images_have_no_gradient(metric: Metric) -> None:
    assert Distance(metric).gradient(torch.zeros(0, 3, 16, 16), torch.zeros(0, 3, 16, 16)).shape == (0, 3, 16, 16)


def zero_padded_ssim(x: Tensor, y: Tensor, data_range: float) -> Tensor:
    """Wang et al. 2004 by sliding windows: Gaussian window of 11 with deviation 1.5, zeros all around."""
    ramp = np.arange(11) - 5
    window = np.exp(-(ramp**2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2

    def mean(values: np.ndarray) -> np.ndarray:
        padded = np.pad(values, ((0, 0), (5, 5), (5, 5)))
        return np.einsum("chwij,ij->chw", np.lib.stride_tricks.sliding_window_view(padded, (11, 11), (1, 2)), window)

    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    found = []
    for a, b in zip(x.double().numpy(), y.double().numpy(), strict=True):
        mean_a, mean_b = mean(a), mean(b)
        var_a, var_b, cov = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2, mean(a * b) - mean_a * mean_b
        similarity = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
        found.append((similarity / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())
    return torch.tensor(found)


@pytest.mark.parametrize("data_range", [1, 2])
def test_zero_padding_is_that_of_an_independent_ssim(data_range: float) -> None:
    x, noise = pair(side=20)
    y = (x + 0.2 * noise).clamp(-1, 1)
    padded = -Distance("ssim", data_range, "zero").of(x, y)
    assert torch.allclose(padded.double(), zero_padded_ssim(x, y, data_range), atol=1e-5)
    assert not torch.allclose(padded, -Distance("ssim", data_range).of(x, y), atol=1e-3)


def test_zero_padding_compares_images_smaller_than_the_window() -> None:
    assert Distance("ssim", padding="zero").least_side == 1
    x, y = pair(side=4)
    assert Distance("ssim", padding="zero").gradient(x, y).isfinite().all()


@pytest.mark.parametrize("distance", [Distance("mse"), Distance("ssim"), Distance("ssim", 1, "zero")], ids=str)
def test_the_gradient_can_be_differentiated_by_both_arguments(distance: Distance) -> None:
    x, y = (each[:1, :, :12, :12].double() for each in pair())
    assert torch.autograd.gradgradcheck(lambda a, b: distance.of(a, b), (x.requires_grad_(), y.requires_grad_()))
    weights = torch.rand(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    by_x, by_y = torch.autograd.grad((distance.gradient(x, y) * weights).sum(), (x, y))
    for argument, found in ((0, by_x), (1, by_y)):
        moved = [x.detach(), y.detach()]
        step = 1e-4 * found / found.norm()
        ends = []
        for way in (1, -1):
            at = list(moved)
            at[argument] = at[argument] + way * step
            with torch.no_grad():
                ends.append((distance.gradient(*at) * weights).sum())
        assert ((ends[0] - ends[1]) / 2e-4).item() == pytest.approx(found.norm().item(), rel=1e-3)


def test_without_autograd_the_gradient_is_a_constant() -> None:
    x, y = pair()
    with torch.no_grad():
        assert not Distance().gradient(x.requires_grad_(), y).requires_grad
