import math

import pytest
from diffusers import DDPMScheduler
from retbench_defenses.denoisers.schedule import alphas_cumprod
from retbench_defenses.diffusion.chain import build_walk, spaced_levels


def test_forty_five_steps_of_a_thousand_start_at_level_44_and_end_at_the_clean_image() -> None:
    chain = build_walk(45, None).links
    assert [link.level for link in chain] == list(range(44, -1, -1))
    assert chain[-1].alpha_bar_after == 1.0


def test_forty_five_steps_of_250_start_at_level_177_with_the_noise_of_the_original_level() -> None:
    chain = build_walk(45, 250).links
    assert (chain[0].level, chain[-1].level) == (177, 0)
    assert chain[0].alpha_bar == alphas_cumprod()[177]
    assert chain[0].beta == pytest.approx(0.0143064, abs=1e-6)


def test_the_respaced_betas_multiply_to_the_original_alpha_bar() -> None:
    assert math.prod(1 - link.beta for link in build_walk(45, 250).links) == pytest.approx(0.717486, abs=1e-6)


def test_variances_at_level_44_and_at_the_last_step() -> None:
    chain = build_walk(45, None).links
    assert chain[0].small_variance == pytest.approx(9.376e-4, rel=1e-4)
    assert chain[0].beta == pytest.approx(9.765e-4, rel=2e-4)
    assert chain[-1].small_variance == 0.0
    assert chain[-1].beta == pytest.approx(1e-4, rel=1e-11)


@pytest.mark.parametrize("steps", [2, 3, 7, 50, 100, 250, 999, 1000])
def test_respacing_is_that_of_diffusers(steps: int) -> None:
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
def test_a_shortened_walk_keeps_the_start(t_p: int, respace: int | None, steps: int, levels: list[int]) -> None:
    walk = build_walk(t_p, respace, steps)
    assert [link.level for link in walk.links] == levels
    assert walk.start == levels[0]
    assert walk.alpha_bar == alphas_cumprod()[levels[0]]
    assert math.prod(1 - link.beta for link in walk.links) == pytest.approx(walk.alpha_bar, rel=1e-9)


def test_the_jump_may_end_one_step_above_the_first_one_back() -> None:
    walk = build_walk(36, None, above=1)
    assert (walk.start, len(walk.links)) == (35, 36)
    assert walk.alpha_bar == alphas_cumprod()[36]


def test_a_logarithm_of_the_last_variance_takes_that_of_the_step_before() -> None:
    links = build_walk(45, None).links
    assert links[-1].clipped_variance == pytest.approx(5.45e-5, rel=1e-3)
    assert links[-1].clipped_variance == links[-2].small_variance
    assert all(link.clipped_variance == link.small_variance for link in links[:-1])
    (alone,) = build_walk(1, None).links
    assert alone.clipped_variance == alone.beta
