from collections.abc import Callable

import pytest
import torch
from retbench_defenses.denoisers.denoiser import Predictor
from retbench_defenses.diffusion.chain import build_walk
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.guided_purifier import GuidedPurifier
from retbench_defenses.diffusion.purifier import SamplerStep
from retbench_defenses.diffusion.retpur import RetPur
from torch import Tensor

from retbench import Facts, Noise

WALK = build_walk(45, None)


def sampler_step(x: Tensor, attacked: Tensor, noise: Noise, eps: Tensor | None = None, index: int = 0) -> SamplerStep:
    link, predicted = WALK.links[index], torch.zeros_like(x) if eps is None else eps
    return SamplerStep(WALK, 0, link, x, predicted, attacked, link.small_variance, noise)


def guided(purifier: GuidedPurifier, x: Tensor, attacked: Tensor, noise: Noise, eps: Tensor | None = None) -> Tensor:
    """One guided step at level 44 whose reverse mean is the image itself."""
    return purifier.guide(x, sampler_step(x, attacked, noise, eps))


@pytest.mark.parametrize("metric", ["ssim", "mse"])
def test_an_enormous_scale_moves_a_constant_image_towards_the_query(metric: str, noise: Noise) -> None:
    attacked, x = torch.full((8, 3, 16, 16), 0.6), torch.full((8, 3, 16, 16), 0.2)
    moved = guided(RetPur(metric=metric, scale=1e6, guide_ref="clean"), x, attacked, noise) - x
    assert moved.mean() > 1e-3
    away = guided(RetPur(metric=metric, scale=1e6, guide_ref="clean"), attacked, x, noise) - attacked
    assert away.mean() < -1e-3


def test_the_step_is_the_scale_times_variance_times_gradient(images: Tensor, noise: Noise) -> None:
    x, attacked = 1 - 2 * images, 2 * images - 1
    moved = guided(RetPur(metric="mse", scale=500.0, guide_ref="clean"), x, attacked, noise) - x
    assert torch.allclose(moved, -500 * 9.376e-4 * 2 * (x - attacked) / x[0].numel(), rtol=1e-3, atol=1e-6)
    summed = guided(RetPur(metric="mse", scale=500.0, guide_ref="clean", reduction="per_image_sum"), x, attacked, noise)
    assert torch.allclose(summed - x, moved * x[0].numel(), rtol=1e-3, atol=1e-4)


def test_a_batch_mean_is_that_of_the_batch_named_and_not_of_this_one(images: Tensor, noise: Noise) -> None:
    x, attacked = 1 - 2 * images, 2 * images - 1
    alone = guided(RetPur(scale=1e4, guide_ref="clean"), x, attacked, noise) - x
    shared = guided(RetPur(scale=1e4, guide_ref="clean", reduction="batch_mean", guide_batch=8), x, attacked, noise) - x
    assert torch.allclose(shared, alone / 8, atol=1e-7)


def test_guidance_of_gdmps_scale_grows_with_the_noise(images: Tensor, noise: Noise) -> None:
    purifier = RetPur(scale_form="gdmp", scale=1000.0, assumed_eps=8 / 255)
    scales = [purifier._scale(sampler_step(images, images, noise, index=step)) for step in (0, 44)]
    noises = [((1 - WALK.links[step].alpha_bar) / WALK.links[step].alpha_bar) ** 0.5 for step in (0, 44)]
    assert scales == pytest.approx([47_812.5 * each for each in noises], rel=1e-6)


@pytest.mark.parametrize("reduction", ["per_image_mean", "batch_mean", "per_image_sum"])
def test_pull_is_the_share_that_mse_guidance_contracts_by_in_a_walk(
    reduction: str, images: Tensor, noise: Noise
) -> None:
    purifier = RetPur(metric="mse", pull=0.3, guide_ref="clean", reduction=reduction)
    shares = []
    for step in range(45):
        at = sampler_step(2 * images, torch.zeros_like(images), noise, index=step)
        shares.append(1 - (purifier.guide(at.x, at) / at.x.clamp(min=1e-3)).mean().item())
    assert sum(shares) == pytest.approx(0.3, rel=1e-3)


def test_a_walk_of_one_step_has_nothing_to_pull_with(facts: Facts) -> None:
    reason = RetPur(denoiser="train", pull=0.3, steps=1).supports(facts)
    assert reason is not None
    assert reason.endswith("got 1 step, expected more; set `scale`")
    assert RetPur(denoiser="train", pull=0.3, steps=2).supports(facts) is None


def test_the_letter_of_equation_16_multiplies_the_gradient_by_the_predicted_noise(images: Tensor, noise: Noise) -> None:
    x, attacked = 1 - 2 * images, 2 * images - 1
    eps = noise.normal("any", (3, 16, 16))
    literal = RetPur(metric="mse", scale=10.0, guide_ref="clean", guide_form="literal_eps")
    moved = guided(literal, x, attacked, noise, eps) - x
    assert torch.allclose(moved, -10 * 2 * (x - attacked) / x[0].numel() * eps, atol=1e-6)


def test_guidance_leaves_the_other_noises_alone(images: Tensor, module: Predictor, noise: Noise) -> None:
    unguided = Ddpm(t_p=5).purify(images, module, noise)
    assert torch.equal(RetPur(t_p=5, scale=0.0).purify(images, module, noise), unguided)
    assert not torch.equal(RetPur(t_p=5).purify(images, module, noise), unguided)


def test_fixed_small_guidance_is_zero_at_the_last_step(images: Tensor, module: Predictor, noise: Noise) -> None:
    def one_step(purifier: Ddpm | RetPur) -> Tensor:
        return purifier.purify(images, module, noise)

    assert torch.equal(one_step(RetPur(t_p=1)), one_step(Ddpm(t_p=1)))
    assert not torch.equal(one_step(RetPur(t_p=1, variance="fixed_large")), one_step(Ddpm(t_p=1)))


@pytest.mark.parametrize("metric", ["ssim", "mse"])
def test_a_strong_guide_ends_nearer_to_the_query(metric: str, images: Tensor, module: Predictor, noise: Noise) -> None:
    def distance(purifier: Ddpm | RetPur) -> float:
        return (purifier.purify(images, module, noise) - images).square().mean().item()

    assert distance(RetPur(metric=metric, scale=2e4)) < 0.9 * distance(Ddpm())


def test_the_reference_is_what_the_option_says(images: Tensor, noise: Noise) -> None:
    attacked = 2 * images - 1

    def reference(guide_ref: str, step: int) -> Tensor:
        return RetPur(guide_ref=guide_ref)._reference(sampler_step(attacked, attacked, noise, index=step))

    def eps(guide_ref: str, step: int) -> Tensor:
        link = WALK.links[step]
        return (reference(guide_ref, step) - link.alpha_bar**0.5 * attacked) / (1 - link.alpha_bar) ** 0.5

    assert torch.equal(reference("clean", 0), attacked)
    assert torch.allclose(eps("noised_shared", 0), noise.normal("forward", (3, 16, 16)), atol=1e-4)
    assert torch.allclose(eps("noised_shared", 0), eps("noised_shared", 20), atol=1e-4)
    assert not torch.allclose(eps("noised_fresh", 0), eps("noised_fresh", 20), atol=1)


def test_ssim_needs_room_for_its_window(tiny_facts: Callable[..., object]) -> None:
    reason = RetPur(denoiser="train").supports(tiny_facts(8, 16))
    assert reason is not None
    assert reason.startswith("images too small for SSIM: got 8x16, expected sides from 11; use `metric: mse`")
    assert RetPur(denoiser="train", metric="mse").supports(tiny_facts(8, 16)) is None
    assert RetPur(denoiser="train", padding="zero").supports(tiny_facts(8, 16)) is None


def test_an_attacker_sees_the_path_through_the_guide(images: Tensor, module: Predictor, noise: Noise) -> None:
    """A strong guide to the query itself: most of the gradient comes through the reference."""
    purifier = RetPur(t_p=4, mean="eps_form", metric="mse", scale=3e5, guide_ref="clean")
    queries = images.clone().requires_grad_()
    purifier.purify(queries, module, noise).square().sum().backward()
    assert queries.grad is not None
    direction = queries.grad / queries.grad.norm()
    with torch.no_grad():
        ends = [
            purifier.purify(images + 0.05 * way * direction, module, noise).double().square().sum() for way in (1, -1)
        ]
    assert ((ends[0] - ends[1]) / 0.1).item() == pytest.approx(queries.grad.norm().item(), rel=0.02)
