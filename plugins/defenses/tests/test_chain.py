import math

import pytest
from diffusers import DDPMScheduler
from retbench_defenses.chain import alphas_cumprod, build_chain, spaced_levels


@pytest.mark.parametrize(
    ("level", "kept", "tolerance"),
    [(0, 0.9999, 1e-7), (44, 0.976062, 5e-7), (177, 0.717486, 5e-7), (999, 4.04e-5, 5e-8)],
)
def test_the_schedule_has_the_published_values(level: int, kept: float, tolerance: float) -> None:
    assert alphas_cumprod()[level] == pytest.approx(kept, abs=tolerance)


def test_forty_five_steps_of_a_thousand_start_at_level_44_and_end_at_the_clean_image() -> None:
    chain = build_chain(45, None)
    assert [link.level for link in chain] == list(range(44, -1, -1))
    assert chain[-1].kept_after == 1.0


def test_forty_five_steps_of_250_start_at_level_177_with_the_noise_of_the_original_level() -> None:
    chain = build_chain(45, 250)
    assert (chain[0].level, chain[-1].level) == (177, 0)
    assert chain[0].kept == alphas_cumprod()[177]
    assert chain[0].beta == pytest.approx(0.0143064, abs=1e-6)


def test_the_respaced_betas_multiply_to_the_original_alpha_bar() -> None:
    assert math.prod(1 - link.beta for link in build_chain(45, 250)) == pytest.approx(0.717486, abs=1e-6)


def test_variances_at_level_44_and_at_the_last_step() -> None:
    chain = build_chain(45, None)
    assert chain[0].small_variance == pytest.approx(9.376e-4, rel=2e-4)
    assert chain[0].beta == pytest.approx(9.765e-4, rel=2e-4)
    assert chain[-1].small_variance == 0.0
    assert chain[-1].beta == pytest.approx(1e-4, rel=1e-3)


@pytest.mark.parametrize("steps", [2, 3, 7, 50, 100, 250, 999, 1000])
def test_respacing_is_that_of_diffusers(steps: int) -> None:
    scheduler = DDPMScheduler(timestep_spacing="linspace")
    scheduler.set_timesteps(steps)
    assert spaced_levels(steps) == scheduler.timesteps.tolist()[::-1]
