import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from retbench_defenses.denoisers.denoiser import DenoiserMetadata, Predictor
from retbench_defenses.denoisers.schedule import alphas_cumprod
from retbench_defenses.diffusion.diffpure import DiffPure, alpha_bar_at, published_levels, time_of
from torch import Tensor

from retbench import Facts, Noise

MakePredictor = Callable[..., Predictor]
SMALL_DENOISER = DenoiserMetadata({"block_out_channels": (8,)}, 1000, (32, 32))
INDICES = ("nominal", "published")


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


def round_to_float32(value: Fraction) -> Fraction:
    """Round a positive number to 24 binary digits, halves to even, in exact arithmetic."""
    exponent = 0
    while value * Fraction(2) ** exponent < 2**23:
        exponent += 1
    return round(value * Fraction(2) ** exponent) / Fraction(2) ** exponent


def exact_published_levels(t_p: int) -> list[int]:
    """Follow torchsde's Euler steps from 1 - t_p / 1000 to 1 - 1e-5, every float32 result rounded exactly."""
    time, end, step = (round_to_float32(Fraction(value)) for value in (1 - t_p / 1000, 1 - 1e-5, 1e-3))
    levels = []
    while time < end:
        levels.append(int(round_to_float32(round_to_float32(1 - time) * 1000)))
        time = min(round_to_float32(time + step), end)
    return levels


@pytest.mark.parametrize(
    ("t_p", "lowered"),
    [(1, [1]), (2, [2, 1]), (45, []), (75, [75]), (100, []), (125, []), (150, [150, 149]), (200, [200]), (500, [])],
)
def test_the_published_code_calls_the_network_one_level_lower_where_float32_rounds_down(
    t_p: int, lowered: list[int]
) -> None:
    levels = published_levels(t_p)
    assert levels == exact_published_levels(t_p)
    assert levels == [level - (level in lowered) for level in range(t_p, 0, -1)]


@pytest.mark.parametrize("t_p", [*range(1, 60), 333, 501, 750, 999])
def test_the_published_code_takes_as_many_steps_as_the_nominal_integration(t_p: int) -> None:
    levels = published_levels(t_p)
    assert levels == exact_published_levels(t_p)
    assert {level - called for level, called in zip(range(t_p, 0, -1), levels, strict=True)} <= {0, 1}


def test_the_published_levels_are_those_that_the_network_is_called_with(
    make_predictor: MakePredictor, images: Tensor, noise: Noise
) -> None:
    levels: list[int] = []
    module = make_predictor(lambda x, level: levels.append(level) or torch.zeros_like(x))
    DiffPure(t_p=150, index="published").purify(images, module, noise)
    assert levels == [149, 148, *range(148, 0, -1)]


def test_only_the_calls_of_the_network_differ_with_the_published_levels(
    make_predictor: MakePredictor, images: Tensor, noise: Noise
) -> None:
    """Steps that call the network with the same level still draw different noise, and move between the same times."""
    module = make_predictor(lambda x, level: x / 2)
    nominal, published = (DiffPure(t_p=150, index=index).purify(images, module, noise) for index in INDICES)
    assert torch.equal(nominal, published)
    sees_levels = make_predictor(lambda x, level: x * level / 1000)
    nominal, published = (DiffPure(t_p=150, index=index).purify(images, sees_levels, noise) for index in INDICES)
    assert not torch.equal(nominal, published)


def test_the_published_levels_over_the_whole_chain_start_from_its_last_level() -> None:
    (diffusion_pass,) = DiffPure(start="T", index="published").diffusion_passes(SMALL_DENOISER)
    assert [step.network_level for step in diffusion_pass.steps] == published_levels(999)
    assert [step.level for step in diffusion_pass.steps] == list(range(999, 0, -1))


def test_a_recipe_names_the_index_only_where_it_is_not_the_default(facts: Facts) -> None:
    default, published = (DiffPure(denoiser="train", index=index).spec(facts) for index in INDICES)
    assert "index" not in default["options"]
    assert published == {**default, "options": {**default["options"], "index": "published"}}


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
