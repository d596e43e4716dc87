from collections.abc import Callable

import pytest
import torch
from retbench_defenses.denoisers.denoiser import Predictor
from retbench_defenses.diffusion.chain import build_pass
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.guided_purifier import GuidedPurifier
from retbench_defenses.diffusion.purifier import SamplerStep
from retbench_defenses.diffusion.retpur import RetPur
from torch import Tensor

from retbench import Facts, Noise

PASS = build_pass(45, None)


def sampler_step(x: Tensor, query: Tensor, noise: Noise, eps: Tensor | None = None, index: int = 0) -> SamplerStep:
    step = PASS.steps[index]
    return SamplerStep(PASS, 0, step, x, torch.zeros_like(x) if eps is None else eps, query, step.small_variance, noise)


def guide_once(purifier: GuidedPurifier, x: Tensor, query: Tensor, noise: Noise, eps: Tensor | None = None) -> Tensor:
    """Return the guided mean of a step at level 44 whose reverse mean is `x`."""
    return purifier.guide(x, sampler_step(x, query, noise, eps))


@pytest.mark.parametrize("metric", ["ssim", "mse"])
def test_a_very_large_scale_moves_a_constant_image_towards_the_query(metric: str, noise: Noise) -> None:
    purifier = RetPur(metric=metric, scale=1e6, guide_ref="clean")
    bright, dark = torch.full((8, 3, 16, 16), 0.6), torch.full((8, 3, 16, 16), 0.2)
    assert (guide_once(purifier, dark, bright, noise) - dark).mean() > 1e-3
    assert (guide_once(purifier, bright, dark, noise) - bright).mean() < -1e-3


def test_guidance_subtracts_scale_times_variance_times_gradient(images: Tensor, noise: Noise) -> None:
    x, attacked = 1 - 2 * images, 2 * images - 1
    change = guide_once(RetPur(metric="mse", scale=500.0, guide_ref="clean"), x, attacked, noise) - x
    assert torch.allclose(change, -500 * 9.376e-4 * 2 * (x - attacked) / x[0].numel(), rtol=1e-3, atol=1e-6)
    by_sum = RetPur(metric="mse", scale=500.0, guide_ref="clean", reduction="per_image_sum")
    assert torch.allclose(guide_once(by_sum, x, attacked, noise) - x, change * x[0].numel(), rtol=1e-3, atol=1e-4)


def test_batch_mean_divides_by_the_option_and_not_by_the_actual_batch(images: Tensor, noise: Noise) -> None:
    x, attacked = 1 - 2 * images, 2 * images - 1
    by_image = RetPur(scale=1e4, guide_ref="clean")
    by_batch = RetPur(scale=1e4, guide_ref="clean", reduction="batch_mean", guide_batch=8)
    change = guide_once(by_image, x, attacked, noise) - x
    assert torch.allclose(guide_once(by_batch, x, attacked, noise) - x, change / 8, atol=1e-7)


def test_the_gdmp_scale_grows_with_the_noise(images: Tensor, noise: Noise) -> None:
    purifier = RetPur(scale_form="gdmp", scale=1000.0, assumed_eps=8 / 255)
    scales = [purifier._scale(sampler_step(images, images, noise, index=step)) for step in (0, 44)]
    alpha_bars = [PASS.steps[step].alpha_bar for step in (0, 44)]
    expected = [47_812.5 * ((1 - alpha_bar) / alpha_bar) ** 0.5 for alpha_bar in alpha_bars]
    assert scales == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("reduction", ["per_image_mean", "batch_mean", "per_image_sum"])
def test_pull_is_the_share_of_the_distance_that_mse_guidance_removes_in_a_pass(
    reduction: str, images: Tensor, noise: Noise
) -> None:
    purifier = RetPur(metric="mse", pull=0.3, guide_ref="clean", reduction=reduction)
    shares = []
    for index in range(45):
        step = sampler_step(2 * images, torch.zeros_like(images), noise, index=index)
        shares.append(1 - (purifier.guide(step.x, step) / step.x.clamp(min=1e-3)).mean().item())
    assert sum(shares) == pytest.approx(0.3, rel=1e-3)


def test_pull_with_a_single_step_is_not_supported(facts: Facts) -> None:
    reason = RetPur(denoiser="train", pull=0.3, steps=1).supports(facts)
    assert reason is not None
    assert reason.endswith("got 1 step, expected at least 2; set `scale` instead")
    assert RetPur(denoiser="train", pull=0.3, steps=2).supports(facts) is None


def test_equation_16_as_printed_multiplies_the_gradient_by_the_predicted_noise(images: Tensor, noise: Noise) -> None:
    x, attacked = 1 - 2 * images, 2 * images - 1
    eps = noise.normal("any", (3, 16, 16))
    literal = RetPur(metric="mse", scale=10.0, guide_ref="clean", guide_form="literal_eps")
    change = guide_once(literal, x, attacked, noise, eps) - x
    assert torch.allclose(change, -10 * 2 * (x - attacked) / x[0].numel() * eps, atol=1e-6)


def test_guidance_does_not_change_forward_and_reverse_noise(images: Tensor, module: Predictor, noise: Noise) -> None:
    unguided = Ddpm(t_p=5).purify(images, module, noise)
    assert torch.equal(RetPur(t_p=5, scale=0.0).purify(images, module, noise), unguided)
    assert not torch.equal(RetPur(t_p=5).purify(images, module, noise), unguided)


def test_guidance_with_fixed_small_variance_is_zero_at_the_last_step(
    images: Tensor, module: Predictor, noise: Noise
) -> None:
    def purify(purifier: Ddpm | RetPur) -> Tensor:
        return purifier.purify(images, module, noise)

    assert torch.equal(purify(RetPur(t_p=1)), purify(Ddpm(t_p=1)))
    assert not torch.equal(purify(RetPur(t_p=1, variance="fixed_large")), purify(Ddpm(t_p=1)))


@pytest.mark.parametrize("metric", ["ssim", "mse"])
def test_strong_guidance_gives_images_nearer_to_the_query(
    metric: str, images: Tensor, module: Predictor, noise: Noise
) -> None:
    def distance(purifier: Ddpm | RetPur) -> float:
        return (purifier.purify(images, module, noise) - images).square().mean().item()

    assert distance(RetPur(metric=metric, scale=2e4)) < 0.9 * distance(Ddpm())


def test_the_option_guide_ref_selects_the_reference(images: Tensor, noise: Noise) -> None:
    query = 2 * images - 1

    def reference(guide_ref: str, step: int) -> Tensor:
        return RetPur(guide_ref=guide_ref)._reference(sampler_step(query, query, noise, index=step))

    def eps(guide_ref: str, step: int) -> Tensor:
        alpha_bar = PASS.steps[step].alpha_bar
        return (reference(guide_ref, step) - alpha_bar**0.5 * query) / (1 - alpha_bar) ** 0.5

    assert torch.equal(reference("clean", 0), query)
    assert torch.allclose(eps("noised_shared", 0), noise.normal("forward", (3, 16, 16)), atol=1e-4)
    assert torch.allclose(eps("noised_shared", 0), eps("noised_shared", 20), atol=1e-4)
    assert not torch.allclose(eps("noised_fresh", 0), eps("noised_fresh", 20), atol=1)


def test_images_smaller_than_the_window_of_ssim_are_not_supported(sized_facts: Callable[..., object]) -> None:
    reason = RetPur(denoiser="train").supports(sized_facts(8, 16))
    assert reason is not None
    assert reason == (
        "images too small for SSIM: got 8x16, expected sides of at least 11 pixels; "
        "use `metric: mse` or `padding: zero`"
    )
    assert RetPur(denoiser="train", metric="mse").supports(sized_facts(8, 16)) is None
    assert RetPur(denoiser="train", padding="zero").supports(sized_facts(8, 16)) is None


def test_gradients_flow_through_the_reference_of_guidance(images: Tensor, module: Predictor, noise: Noise) -> None:
    """Guidance to the query itself is so strong that most of the gradient comes through the reference."""
    purifier = RetPur(t_p=4, mean="eps_form", metric="mse", scale=3e5, guide_ref="clean")
    queries = images.clone().requires_grad_()
    purifier.purify(queries, module, noise).square().sum().backward()
    assert queries.grad is not None
    direction = queries.grad / queries.grad.norm()
    with torch.no_grad():
        above, below = (
            purifier.purify(images + step * direction, module, noise).double().square().sum() for step in (0.05, -0.05)
        )
    assert ((above - below) / 0.1).item() == pytest.approx(queries.grad.norm().item(), rel=0.02)
