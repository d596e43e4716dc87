from fractions import Fraction
from math import prod

import pytest
import torch
from diffusers import DDPMScheduler
from retbench_defenses.denoisers.schedule import LEVELS, alphas_cumprod, betas, diffuse


@pytest.mark.parametrize(
    ("level", "alpha_bar", "tolerance"),
    [(0, 0.9999, 1e-15), (44, 0.976062, 5e-7), (177, 0.717486, 5e-7), (999, 4.04e-5, 5e-8)],
)
def test_alpha_bar_has_the_published_values(level: int, alpha_bar: float, tolerance: float) -> None:
    assert alphas_cumprod()[level] == pytest.approx(alpha_bar, abs=tolerance)


@pytest.mark.parametrize("level", [0, 1, 2, 44, 177, 500, 999])
def test_alpha_bar_and_the_noise_variance_equal_exact_arithmetic(level: int) -> None:
    lowest, highest = Fraction(1, 10_000), Fraction(2, 100)
    exact = prod((1 - lowest - (highest - lowest) * step / 999 for step in range(level + 1)), start=Fraction(1))
    assert alphas_cumprod()[level] == pytest.approx(float(exact), rel=1e-13)
    assert 1 - alphas_cumprod()[level] == pytest.approx(float(1 - exact), rel=1e-11)


def test_the_tables_equal_those_of_diffusers_up_to_float32() -> None:
    scheduler = DDPMScheduler(LEVELS, beta_start=1e-4, beta_end=0.02, beta_schedule="linear")
    assert torch.allclose(torch.tensor(betas()), scheduler.betas, rtol=1e-6, atol=0)
    assert torch.allclose(torch.tensor(alphas_cumprod()), scheduler.alphas_cumprod, rtol=2e-5, atol=0)
    assert torch.allclose(torch.tensor(alphas_cumprod()), scheduler.alphas_cumprod, rtol=0, atol=1e-6)


def test_diffusion_keeps_unit_variance() -> None:
    images, eps = (torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    for alpha_bar in (0.9999, 0.5, 0.01):
        assert diffuse(images, alpha_bar, eps).var().item() == pytest.approx(1, abs=0.02)
