import pytest
import torch
from retbench_defenses.denoisers.denoiser import DenoiserMetadata
from retbench_defenses.denoisers.schedule import alphas_cumprod
from retbench_defenses.diffusion.gdmp import Gdmp
from retbench_defenses.diffusion.purifier import SamplerStep
from torch import Tensor

from retbench import Noise

SMALL_DENOISER = DenoiserMetadata({"block_out_channels": (8,)}, 1000, (32, 32))
LARGE_DENOISER = DenoiserMetadata({"block_out_channels": (8,)}, 1000, (256, 256))


def test_the_cifar_setting_has_four_passes_that_jump_one_level_above_the_first_reverse_step() -> None:
    passes = Gdmp().diffusion_passes(SMALL_DENOISER)
    assert [(each.start_level, len(each.steps)) for each in passes] == [(35, 36)] * 4
    assert {each.alpha_bar for each in passes} == {alphas_cumprod()[36]}


def test_the_imagenet_setting_has_one_pass_of_45_steps_of_250() -> None:
    (diffusion_pass,) = Gdmp(setting="imagenet").diffusion_passes(LARGE_DENOISER)
    assert (diffusion_pass.start_level, len(diffusion_pass.steps)) == (177, 45)
    assert diffusion_pass.alpha_bar == alphas_cumprod()[177]


def test_a_setting_is_the_default_of_options_that_are_not_given() -> None:
    cifar, imagenet = Gdmp(), Gdmp(setting="imagenet")
    assert (cifar.metric, cifar.scale, cifar.guide_ref, cifar.guide_batch) == ("mse", 60_000, "noised_fresh", 100)
    assert (imagenet.metric, imagenet.scale, imagenet.guide_ref, imagenet.guide_batch) == ("ssim", 1000, "clean", 60)
    assert Gdmp(setting="imagenet", scale=7.0).scale == 7.0
    assert Gdmp.create(imagenet.model_dump()) == imagenet


@pytest.mark.parametrize(("setting", "total", "largest"), [("cifar", 0.026, 0.0019), ("imagenet", 0.0022, None)])
def test_published_guidance_removes_less_than_3_percent_of_the_distance(
    setting: str, total: float, largest: float | None
) -> None:
    """The sum over a pass of 2 sigma_t^2 s_t / (B C H W), for MSE at the published batch and image sizes."""
    metadata = SMALL_DENOISER if setting == "cifar" else LARGE_DENOISER
    purifier = Gdmp(setting=setting, variance="fixed_large", metric="mse")
    diffusion_pass = purifier.diffusion_passes(metadata)[0]
    assert metadata.size is not None
    values = 3 * metadata.size[0] * metadata.size[1]
    images, noise = torch.zeros(1, 3, *metadata.size), Noise(0, ("one",))
    steps = [
        SamplerStep(diffusion_pass, 0, step, images, images, images, step.beta, noise) for step in diffusion_pass.steps
    ]
    shares = [2 * float(purifier.guidance_variance(step)) * purifier._scale(step) / values for step in steps]
    assert sum(shares) == pytest.approx(total, rel=0.06)
    if largest:
        assert max(shares) == pytest.approx(largest, rel=0.03)


def test_the_guidance_variance_of_the_last_step_is_the_small_variance_of_the_step_before(
    images: Tensor, noise: Noise
) -> None:
    diffusion_pass = Gdmp().diffusion_passes(SMALL_DENOISER)[0]
    steps = [
        SamplerStep(diffusion_pass, 0, step, images, images, images, step.beta, noise) for step in diffusion_pass.steps
    ]
    variances = [Gdmp().guidance_variance(step) for step in steps]
    assert variances[-1] == pytest.approx(5.45e-5, rel=1e-3)
    assert variances[:-1] == [step.beta for step in diffusion_pass.steps[:-1]]
