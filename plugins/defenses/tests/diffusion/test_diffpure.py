import math
from collections.abc import Callable

import pytest
import torch
from retbench_defenses.denoisers.denoiser import Outline, Predictor
from retbench_defenses.denoisers.schedule import alphas_cumprod
from retbench_defenses.diffusion.diffpure import DiffPure, alpha_bar_at, time_of
from torch import Tensor

from retbench import Noise

Predict = Callable[..., Predictor]
SMALL = Outline({"block_out_channels": (8,)}, 1000, (32, 32))


def test_the_reverse_equation_takes_a_step_a_thousandth(predict: Predict, images: Tensor, noise: Noise) -> None:
    called: list[int] = []
    module = predict(lambda x, level: called.append(level) or torch.zeros_like(x))
    DiffPure().purify(images, module, noise)
    assert called == list(range(100, 0, -1))
    (walk,) = DiffPure().walks(SMALL)
    assert walk.alpha_bar == alphas_cumprod()[99]


def test_the_reverse_equation_over_the_whole_chain_calls_every_level_once() -> None:
    (walk,) = DiffPure(start="T").walks(SMALL)
    assert [link.level for link in walk.links] == list(range(999, 0, -1))


@pytest.mark.parametrize("time", [1e-5, 0.001, 0.1, 0.5, 1.0])
def test_time_and_noise_of_the_equation_are_each_others_inverse(time: float) -> None:
    assert time_of(alpha_bar_at(time)) == pytest.approx(time, rel=1e-6)
    steps = 20_000
    beta = sum(0.1 + 19.9 * time * (step + 0.5) / steps for step in range(steps)) * time / steps
    assert alpha_bar_at(time) == pytest.approx(math.exp(-beta), rel=1e-6)


def test_the_discrete_levels_follow_the_equation() -> None:
    for level in (44, 99, 177):
        assert alphas_cumprod()[level] == pytest.approx(alpha_bar_at((level + 1) / 1000), rel=2e-3)


def test_the_reverse_equation_with_the_true_score_comes_back_to_the_image(
    predict: Predict, images: Tensor, noise: Noise
) -> None:
    """The score at time u of a single picture; what is left at time 1e-5 is the noise of the last steps."""
    clean = 2 * images.flip(0) - 1

    def score(x: Tensor, level: int) -> Tensor:
        alpha_bar = alpha_bar_at(level / 1000)
        return (x - alpha_bar**0.5 * clean) / (1 - alpha_bar) ** 0.5

    module = predict(score)
    purified = DiffPure().purify(images, module, noise)
    assert (purified - images.flip(0)).abs().mean() < 0.01
    assert (purified - images).abs().mean() > 0.05


def test_the_reverse_equation_keeps_the_spread_of_gaussian_pictures(predict: Predict) -> None:
    """Pictures of independent pixels N(0, 0.2^2) have a linear score: the walk must end with that variance again."""
    spread = 0.2

    def score(x: Tensor, level: int) -> Tensor:
        alpha_bar = alpha_bar_at(level / 1000)
        return x * (1 - alpha_bar) ** 0.5 / (1 - (1 - spread**2) * alpha_bar)

    module = predict(score)
    many = Noise(3, tuple(str(row) for row in range(64)))
    pictures = (many.normal("pictures", (3, 16, 16)) * spread + 1) / 2
    purified = 2 * DiffPure().purify(pictures, module, many) - 1
    assert purified.std().item() == pytest.approx(spread, rel=0.02)
    assert torch.corrcoef(torch.stack([purified.flatten(), (2 * pictures - 1).flatten()]))[0, 1] < 0.8
