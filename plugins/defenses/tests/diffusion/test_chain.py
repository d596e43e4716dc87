import math

import pytest
from diffusers import DDPMScheduler
from retbench_defenses.denoisers.schedule import alphas_cumprod
from retbench_defenses.diffusion.chain import build_pass, spaced_levels


def test_45_steps_of_1000_start_at_level_44_and_end_at_the_clean_image() -> None:
    steps = build_pass(45, None).steps
    assert [step.level for step in steps] == list(range(44, -1, -1))
    assert steps[-1].alpha_bar_prev == 1.0


def test_45_steps_of_250_start_at_level_177_with_the_alpha_bar_of_that_level() -> None:
    steps = build_pass(45, 250).steps
    assert (steps[0].level, steps[-1].level) == (177, 0)
    assert steps[0].alpha_bar == alphas_cumprod()[177]
    assert steps[0].beta == pytest.approx(0.0143064, abs=1e-6)


def test_the_respaced_betas_multiply_to_the_original_alpha_bar() -> None:
    assert math.prod(1 - step.beta for step in build_pass(45, 250).steps) == pytest.approx(0.717486, abs=1e-6)


def test_the_variances_at_level_44_and_at_the_last_step_are_those_of_the_formulas() -> None:
    steps = build_pass(45, None).steps
    assert steps[0].small_variance == pytest.approx(9.376e-4, rel=1e-4)
    assert steps[0].beta == pytest.approx(9.765e-4, rel=2e-4)
    assert steps[-1].small_variance == 0.0
    assert steps[-1].beta == pytest.approx(1e-4, rel=1e-11)


@pytest.mark.parametrize("steps", [2, 3, 7, 50, 100, 250, 999, 1000])
def test_respacing_equals_that_of_diffusers(steps: int) -> None:
    scheduler = DDPMScheduler(timestep_spacing="linspace")
    scheduler.set_timesteps(steps)
    assert spaced_levels(steps) == scheduler.timesteps.tolist()[::-1]


@pytest.mark.parametrize(
    ("t_p", "respace", "steps", "levels"),
    [
        (45, None, 1, [44]),
        (45, None, 3, [44, 29, 14]),
        (45, None, 5, [44, 35, 26, 17, 8]),
        (200, None, 5, [199, 159, 119, 79, 39]),
        (45, 250, 3, [177, 116, 56]),
    ],
)
def test_a_shortened_pass_keeps_the_start_level(t_p: int, respace: int | None, steps: int, levels: list[int]) -> None:
    diffusion_pass = build_pass(t_p, respace, steps)
    assert [step.level for step in diffusion_pass.steps] == levels
    assert diffusion_pass.start_level == levels[0]
    assert diffusion_pass.alpha_bar == alphas_cumprod()[levels[0]]
    product = math.prod(1 - step.beta for step in diffusion_pass.steps)
    assert product == pytest.approx(diffusion_pass.alpha_bar, rel=1e-9)


def test_the_forward_jump_can_exceed_the_first_reverse_step_by_one_level() -> None:
    diffusion_pass = build_pass(36, None, extra_noise=1)
    assert (diffusion_pass.start_level, len(diffusion_pass.steps)) == (35, 36)
    assert diffusion_pass.alpha_bar == alphas_cumprod()[36]


def test_the_clipped_variance_of_the_last_step_is_the_small_variance_of_the_step_before() -> None:
    steps = build_pass(45, None).steps
    assert steps[-1].clipped_variance == pytest.approx(5.45e-5, rel=1e-3)
    assert steps[-1].clipped_variance == steps[-2].small_variance
    assert all(step.clipped_variance == step.small_variance for step in steps[:-1])
    (only_step,) = build_pass(1, None).steps
    assert only_step.clipped_variance == only_step.beta
