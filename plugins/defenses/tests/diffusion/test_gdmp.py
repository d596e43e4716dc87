import pytest
import torch
from retbench_defenses.denoisers.denoiser import Outline
from retbench_defenses.denoisers.schedule import alphas_cumprod
from retbench_defenses.diffusion.gdmp import Gdmp
from retbench_defenses.diffusion.purifier import SamplerStep
from torch import Tensor

from retbench import Noise

SMALL = Outline({"block_out_channels": (8,)}, 1000, (32, 32))
LARGE = Outline({"block_out_channels": (8,)}, 1000, (256, 256))


def test_gdmp_for_cifar_noises_one_level_above_where_it_starts_back_four_times() -> None:
    walks = Gdmp().walks(SMALL)
    assert [(walk.start, len(walk.links)) for walk in walks] == [(35, 36)] * 4
    assert {walk.alpha_bar for walk in walks} == {alphas_cumprod()[36]}


def test_gdmp_for_imagenet_walks_45_of_250_once() -> None:
    (walk,) = Gdmp(setting="imagenet").walks(LARGE)
    assert (walk.start, len(walk.links), walk.alpha_bar) == (177, 45, alphas_cumprod()[177])


def test_a_setting_of_gdmp_fills_in_what_is_not_given() -> None:
    cifar, imagenet = Gdmp(), Gdmp(setting="imagenet")
    assert (cifar.metric, cifar.scale, cifar.guide_ref, cifar.guide_batch) == ("mse", 60_000, "noised_fresh", 100)
    assert (imagenet.metric, imagenet.scale, imagenet.guide_ref, imagenet.guide_batch) == ("ssim", 1000, "clean", 60)
    assert Gdmp(setting="imagenet", scale=7.0).scale == 7.0
    assert Gdmp.create(imagenet.model_dump()) == imagenet


@pytest.mark.parametrize(("setting", "total", "largest"), [("cifar", 0.026, 0.0019), ("imagenet", 0.0022, None)])
def test_gdmps_guidance_contracts_by_next_to_nothing(setting: str, total: float, largest: float | None) -> None:
    """Sum over a chain of 2 sigma_t^2 s_t / (B C H W) as published: for MSE, at the published batch and image size."""
    outline = SMALL if setting == "cifar" else LARGE
    purifier = Gdmp(setting=setting, variance="fixed_large", metric="mse")
    walk = purifier.walks(outline)[0]
    assert outline.size is not None
    values = 3 * outline.size[0] * outline.size[1]
    images, noise = torch.zeros(1, 3, *outline.size), Noise(0, ("one",))
    steps = [SamplerStep(walk, 0, link, images, images, images, link.beta, noise) for link in walk.links]
    shares = [2 * float(purifier.weight(step)) * purifier._scale(step) / values for step in steps]
    assert sum(shares) == pytest.approx(total, rel=0.06)
    if largest:
        assert max(shares) == pytest.approx(largest, rel=0.03)


def test_gdmps_last_variance_is_that_of_the_step_before(images: Tensor, noise: Noise) -> None:
    walk = Gdmp().walks(SMALL)[0]
    steps = [SamplerStep(walk, 0, link, images, images, images, link.beta, noise) for link in walk.links]
    weights = [Gdmp().weight(step) for step in steps]
    assert weights[-1] == pytest.approx(5.45e-5, rel=1e-3)
    assert weights[:-1] == [link.beta for link in walk.links[:-1]]
