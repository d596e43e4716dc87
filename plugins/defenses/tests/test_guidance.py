import pytest
import torch
from pytorch_msssim import ssim
from retbench_defenses.guidance import Metric, distance_gradient
from torch import Tensor


def pair(count: int = 4, side: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    both = torch.rand(2 * count, 3, side, side, generator=generator) * 2 - 1
    return both[:count], both[count:]


def test_the_gradient_of_the_squared_error_is_its_closed_form() -> None:
    x, reference = pair()
    expected = 2 * (x - reference) / x[0].numel()
    assert torch.allclose(distance_gradient("mse", x, reference), expected, atol=1e-9)


def test_the_gradient_is_the_batch_mean_gradient_times_the_batch() -> None:
    x, reference = pair()
    point = x.clone().requires_grad_()
    (batch_mean,) = torch.autograd.grad((point - reference).square().mean(), point)
    assert torch.allclose(distance_gradient("mse", x, reference), batch_mean * len(x), atol=1e-9)


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_no_image_sees_the_others_of_its_batch(metric: Metric) -> None:
    x, reference = pair()
    alone = torch.cat([distance_gradient(metric, x[row : row + 1], reference[row : row + 1]) for row in range(len(x))])
    assert torch.allclose(distance_gradient(metric, x, reference), alone, atol=1e-7)


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_an_image_is_not_pulled_away_from_itself(metric: Metric) -> None:
    x, _ = pair()
    assert distance_gradient(metric, x, x).abs().max() < 1e-8
    assert ssim(x, x, data_range=2.0, size_average=False).allclose(torch.ones(len(x)))


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_a_small_step_against_the_gradient_comes_closer(metric: Metric) -> None:
    x, reference = pair()
    closer = x - 0.1 * distance_gradient(metric, x, reference)
    if metric == "mse":
        assert ((closer - reference).square().mean() < (x - reference).square().mean()).item()
    else:
        before, after = (ssim(y, reference, data_range=2.0, size_average=False) for y in (x, closer))
        assert (after > before).all()


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_autocast_does_not_touch_the_gradient(metric: Metric) -> None:
    x, reference = pair()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        inside = distance_gradient(metric, x, reference)
    assert torch.equal(inside, distance_gradient(metric, x, reference))


@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_no_images_have_no_gradient(metric: Metric) -> None:
    assert distance_gradient(metric, torch.zeros(0, 3, 16, 16), torch.zeros(0, 3, 16, 16)).shape == (0, 3, 16, 16)
