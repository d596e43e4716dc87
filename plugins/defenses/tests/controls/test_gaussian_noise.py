import pytest
import torch
from pydantic import ValidationError
from retbench_defenses.controls.gaussian_noise import GaussianNoise
from torch import Tensor, nn

from retbench import Noise


def test_the_added_noise_is_normal_with_the_standard_deviation_of_the_option(noise: Noise) -> None:
    gray = torch.full((8, 3, 64, 64), 0.5)
    added = GaussianNoise(std=0.05).purify(gray, nn.Module(), noise) - gray
    assert abs(added.mean()) < 5 * 0.05 / added.numel() ** 0.5
    assert torch.isclose(added.std(), torch.tensor(0.05), rtol=0.02)
    within_one_std = (added.abs() < 0.05).float().mean()
    assert torch.isclose(within_one_std, torch.tensor(0.6827), atol=0.01)


def test_clamped_values_have_no_gradient(noise: Noise) -> None:
    images = torch.tensor([0.0, 0.5, 1.0, 0.5])[:, None].expand(8, 3, 4, 4).clone().requires_grad_()
    output = GaussianNoise(std=0.1).purify(images, nn.Module(), noise)
    assert output.min() == 0
    assert output.max() == 1
    (gradient,) = torch.autograd.grad(output.sum(), images)
    assert torch.equal(gradient, ((output > 0) & (output < 1)).float())


def test_queries_and_copies_have_independent_noise(noise: Noise) -> None:
    gray = torch.full((8, 3, 16, 16), 0.5)
    first, second = (GaussianNoise().purify(gray, nn.Module(), source) for source in (noise, noise.copy(0)))
    assert not torch.allclose(first, second, atol=1e-3)
    assert not torch.allclose(first[0], first[1], atol=1e-3)


def test_noise_of_one_seed_is_proportional_to_the_standard_deviation(images: Tensor, noise: Noise) -> None:
    low_contrast = images * 0.2 + 0.4
    weak, strong = (
        GaussianNoise(std=std).purify(low_contrast, nn.Module(), noise) - low_contrast for std in (0.01, 0.02)
    )
    assert torch.allclose(2 * weak, strong, atol=1e-6)


@pytest.mark.parametrize("std", [0, 1.1])
def test_a_std_outside_its_range_is_an_error(std: float) -> None:
    with pytest.raises(ValidationError):
        GaussianNoise(std=std)
