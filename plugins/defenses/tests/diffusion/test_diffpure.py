import math
from collections.abc import Callable

import pytest
import torch
from retbench_defenses.denoisers.denoiser import DenoiserMetadata, Predictor
from retbench_defenses.denoisers.schedule import alphas_cumprod
from retbench_defenses.diffusion.diffpure import DiffPure, alpha_bar_at, time_of
from torch import Tensor

from retbench import Noise

MakePredictor = Callable[..., Predictor]
SMALL_DENOISER = DenoiserMetadata({"block_out_channels": (8,)}, 1000, (32, 32))


def test_the_reverse_equation_is_integrated_in_steps_of_a_thousandth(
    make_predictor: MakePredictor, images: Tensor, noise: Noise
) -> None:
    levels: list[int] = []
    module = make_predictor(lambda x, level: levels.append(level) or torch.zeros_like(x))
    DiffPure().purify(images, module, noise)
    assert levels == list(range(100, 0, -1))
    (diffusion_pass,) = DiffPure().diffusion_passes(SMALL_DENOISER)
    assert diffusion_pass.alpha_bar == alphas_cumprod()[99]


def test_the_reverse_equation_over_the_whole_chain_calls_every_level_once() -> None:
    (diffusion_pass,) = DiffPure(start="T").diffusion_passes(SMALL_DENOISER)
    assert [step.level for step in diffusion_pass.steps] == list(range(999, 0, -1))


@pytest.mark.parametrize("time", [1e-5, 0.001, 0.1, 0.5, 1.0])
def test_time_of_is_the_inverse_of_alpha_bar_at(time: float) -> None:
    assert time_of(alpha_bar_at(time)) == pytest.approx(time, rel=1e-6)
    steps = 20_000
    beta = sum(0.1 + 19.9 * time * (step + 0.5) / steps for step in range(steps)) * time / steps
    assert alpha_bar_at(time) == pytest.approx(math.exp(-beta), rel=1e-6)


def test_the_discrete_chain_approximates_the_alpha_bar_of_the_equation() -> None:
    for level in (44, 99, 177):
        assert alphas_cumprod()[level] == pytest.approx(alpha_bar_at((level + 1) / 1000), rel=2e-3)


def test_the_reverse_equation_with_the_true_score_restores_the_image(
    make_predictor: MakePredictor, images: Tensor, noise: Noise
) -> None:
    """The score is that of a single image; the difference left at time 1e-5 is the noise of the last steps."""
    clean = 2 * images.flip(0) - 1

    def predict_noise(x: Tensor, level: int) -> Tensor:
        alpha_bar = alpha_bar_at(level / 1000)
        return (x - alpha_bar**0.5 * clean) / (1 - alpha_bar) ** 0.5

    module = make_predictor(predict_noise)
    purified = DiffPure().purify(images, module, noise)
    assert (purified - images.flip(0)).abs().mean() < 0.01
    assert (purified - images).abs().mean() > 0.05


def test_the_reverse_equation_keeps_the_variance_of_gaussian_images(make_predictor: MakePredictor) -> None:
    """Images of independent pixels N(0, 0.2^2) have a linear score; the result must have the same variance."""
    deviation = 0.2

    def predict_noise(x: Tensor, level: int) -> Tensor:
        alpha_bar = alpha_bar_at(level / 1000)
        return x * (1 - alpha_bar) ** 0.5 / (1 - (1 - deviation**2) * alpha_bar)

    module = make_predictor(predict_noise)
    noise = Noise(3, tuple(str(row) for row in range(64)))
    images = (noise.normal("pictures", (3, 16, 16)) * deviation + 1) / 2
    purified = 2 * DiffPure().purify(images, module, noise) - 1
    assert purified.std().item() == pytest.approx(deviation, rel=0.02)
    assert torch.corrcoef(torch.stack([purified.flatten(), (2 * images - 1).flatten()]))[0, 1] < 0.8
